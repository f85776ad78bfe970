"""The parts of a puppet: what is painted on each sheet, and in which order the sheets lie."""
