"""The paper's figures for any checkpoints and clips: grids of labelled panels, as a picture or as a video."""

from prioritycut.figures.making import FigureNumber, MadeFigure, make_figure

__all__ = ["FigureNumber", "MadeFigure", "make_figure"]
