"""Open, serve, and end: what `burden review` does."""

from __future__ import annotations

import contextlib
import errno
import threading
from collections.abc import Callable
from pathlib import Path

from burden.errors import UsageError
from burden.review.answers import Answers
from burden.review.base import open_base
from burden.review.server import Server
from burden.review.session import Session


def serve(
    out: Path,
    study: Path | None,
    ready: Callable[[str], None],
    *,
    reader: str = "",
    save_to: Path | None = None,
    policy: Path | None = None,
    port: int = 0,
) -> None:
    """Serve the review of a finished run until it is interrupted.

    Parameters
    ----------
    ready
        Called with the address once the page can be opened.
    port
        0 for any free one.

    Raises
    ------
    UsageError
        If the port is taken, or something that is needed was not given.
    InputError
        If the folder or the study cannot be used.
    """
    from burden.write import check_out

    if save_to is not None:
        check_out(save_to)
    session = Session(open_base(out, study, policy=policy), reader)
    try:
        server = Server(Answers(session, save_to), port)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise UsageError("this port cannot be used.", where=port, hint="Leave --port out.") from error
    worker = threading.Thread(target=session.work, daemon=True)
    worker.start()
    ready(server.url)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever(poll_interval=0.2)
    finally:
        session.close()
        server.server_close()
