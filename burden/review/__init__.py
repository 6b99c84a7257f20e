"""Review: correct the masks of a finished run in the browser and see what that changes.

``base`` opens a finished run with its images, ``edits`` and ``grow`` are pure functions from masks
to a :class:`~burden.review.masks.Patch`, ``session`` holds the history, ``recompute`` makes a case
of corrected masks, ``server`` shows it all to one browser on this machine, ``save`` writes the new
folder. The page itself is plain HTML, CSS and JavaScript in ``page/``.
"""
