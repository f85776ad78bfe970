"""How good is a method? Clips reconstructed by a model, or made elsewhere, held against the truth.

running.py          files and names in, one result out
protocol.py         everything that would change a number
instruments.py      detectors, masks, baseline
reconstruction.py   run a model over test clips: source is the first frame, every frame drives it
scoring.py          clips of any method against their targets, matched by name; records of detectors computed elsewhere
testsets.py         where test clips come from: puppets with their truth, folders
measurement.py      clips measured one by one and summed up; faults named and counted
meter.py            frames of one clip in, its metrics out
masks.py            salient masks; masks of the most occluded pixels by a baseline's maps
truth.py            what can be asked where the motion is known
ledger.py           what is done already, so that a killed evaluation goes on
"""

HELD_OUT_SEED = 1
"""The cast of puppets that no preset trains on (they train on 0); two casts share nobody."""
