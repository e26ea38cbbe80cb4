"""A small chain of stages that use numpy alone: tests copy it into a folder of their own, edit it and run it.

numbers.txt -> Draw -> Scale -> Total, with Guess (on the backend) beside Scale and the companion Picture.
"""

from chainlet.tasks import Draw, Guess, Picture, Scale, Total, source

__all__ = ["Draw", "Guess", "Picture", "Scale", "Total", "source"]
