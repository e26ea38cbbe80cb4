"""A small chain of stages that use only numpy: tests copy it into a folder of their own, edit it and run it.

numbers.txt -> Draw -> Scale -> Total, with Guess (on the backend) next to Scale, and the companion Picture.
"""

from chainlet.tasks import Draw, Guess, Picture, Scale, Total, source

__all__ = ["Draw", "Guess", "Picture", "Scale", "Total", "source"]
