"""Send results by STOW-RS, and what every DICOMweb client here shares."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from burden.node.send import RefusedError, UnreachableError
from burden.node.settings import Target, Tls, read_token

_TIMEOUT_S = 60
_THEIR_FAULT = {401, 403, 404, 429}  # refused whatever the study: settings or rights are wrong


def client(url: str, token_file: Path | None, tls: Tls | None) -> Any:
    """A DICOMweb client that retries nothing by itself."""
    import requests
    from dicomweb_client import DICOMwebClient

    session = requests.Session()
    session.trust_env = False  # no proxy, no .netrc: what counts is in the settings
    if tls is not None:
        session.verify = str(tls.ca)
        session.cert = (str(tls.certificate), str(tls.key))
    if token_file is not None:
        token = read_token(token_file)
        user, colon, password = token.partition(":")
        if colon:
            session.auth = (user, password)
        else:
            session.headers["Authorization"] = f"Bearer {token}"
    made = DICOMwebClient(url, session=session, timeout=_TIMEOUT_S, permissive_uid=True)
    made.set_http_retry_params(retry=False)
    return made


def send_stow(target: Target, files: Sequence[Path]) -> None:
    """Store every file in one request.

    Raises
    ------
    UnreachableError
        If the archive does not answer, or lets nobody in.
    RefusedError
        If it takes one of the files not.
    """
    import requests
    from pydicom import dcmread

    if not files:
        return
    data = [dcmread(path) for path in files]
    archive = client(target.url, target.token_file, target.tls)
    codes: list[int] = []
    archive._session.hooks["response"].append(lambda said, **_: codes.append(said.status_code))
    try:
        answer = archive.store_instances(data)
    except requests.HTTPError as error:
        code = error.response.status_code if error.response is not None else 0
        if code >= 500 or code in _THEIR_FAULT:
            raise UnreachableError(f"HTTP {code}") from error
        raise RefusedError(f"HTTP {code}") from error
    except (requests.RequestException, OSError) as error:
        raise UnreachableError(type(error).__name__) from error
    if not answer and codes[-1:] == [200]:
        return  # an answer that the client cannot read; 200 means that all was stored
    stored = {str(one.ReferencedSOPInstanceUID) for one in answer.get("ReferencedSOPSequence", [])}
    missing = [one for one in data if str(one.SOPInstanceUID) not in stored]
    if missing:
        raise RefusedError(f"{missing[0].SOPClassUID.name} and {len(missing) - 1} more were not stored")
