"""Detectors as plug-ins: keypoints, identity, segmentation."""
