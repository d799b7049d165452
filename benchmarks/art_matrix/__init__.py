"""Every attack, defence, metric and certificate of the installed ART, called on a spiking and on a plain classifier."""
