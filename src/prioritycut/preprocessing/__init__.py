"""From a list of links or a folder of videos to clips that train: download, find, cut, store, and account for each."""
