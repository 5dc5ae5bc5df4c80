"""The face finder's training: network, composed frames, loss, recipe, evaluation. It knows no quantisers and no formats."""
