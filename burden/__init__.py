"""Liver tumor burden from CT and MR: ``read -> segment -> measure -> assess -> write``.

Research use only: not a medical device. Start reading at ``burden/pipeline.py``.
"""

__version__ = "0.1.0"
