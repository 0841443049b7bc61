"""The recipe of the offline model: speech, training, conversion and evaluation."""
