"""Published FOMM, Monkey-Net and X2Face files, read strictly into models of ours.

Whatever a file lacks, or has too much of, is refused under the name that it has in that file.
"""

from prioritycut.published.fomm import import_fomm
from prioritycut.published.importing import PublishedModel, import_published
from prioritycut.published.monkeynet import import_monkeynet, import_monkeynet_discriminator
from prioritycut.published.x2face import import_x2face

__all__ = [
    "PublishedModel",
    "import_fomm",
    "import_monkeynet",
    "import_monkeynet_discriminator",
    "import_published",
    "import_x2face",
]
