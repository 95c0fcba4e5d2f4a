"""How a stage is run as a process of its own; knows no stage and no scheduler."""
