"""The networks: animators that share one interface, and the discriminators that judge them."""
