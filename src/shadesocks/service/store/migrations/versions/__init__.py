"""The steps. None is changed once it was released: what is new is a new step."""
