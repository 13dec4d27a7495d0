"""Choices inside a user-defined ``torch.nn.Module``, and the search space that they form."""

from nas.choices.choice import Choice
from nas.choices.choice_module import ChoiceModule
from nas.choices.input_choice import InputChoice
from nas.choices.model_space import ModelSpace, own_part, space
from nas.choices.repeat import Repeat
from nas.choices.width import Width
from nas.choices.zero import Zero

__all__ = ["Choice", "ChoiceModule", "InputChoice", "ModelSpace", "Repeat", "Width", "Zero", "own_part", "space"]
