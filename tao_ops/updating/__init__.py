"""How the stage ``update`` chooses what is learnt, runs the training, and shows how it went."""
