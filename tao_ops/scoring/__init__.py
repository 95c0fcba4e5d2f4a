"""What ``score`` knows beside a turn's responses: labels, the calibrator, and whether the reward is being gamed."""
