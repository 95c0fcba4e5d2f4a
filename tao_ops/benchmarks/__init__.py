"""Item sets, metrics, paired statistics, and the gate's rule."""
