"""What can be set in ``node.yaml``; `read` checks it against these classes, field by field."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Literal

Network = IPv4Network | IPv6Network
Kind = Literal["seg", "sr", "sc", "report"]


@dataclass(frozen=True)
class Tls:
    """Encryption of one door or one way out.

    Parameters
    ----------
    certificate, key
        Own certificate (with its chain) and its key, PEM.
    ca
        Certificates that the other side must be signed by, PEM. For a door: clients without
        such a certificate are turned away.
    """

    certificate: Path
    key: Path
    ca: Path


@dataclass(frozen=True)
class Peer:
    """Somebody who may connect: an AE title, and the addresses it may come from."""

    ae_title: str
    address: str

    @property
    def network(self) -> Network:
        """The addresses; one address is a network of one."""
        return ip_network(self.address, strict=False)


@dataclass(frozen=True)
class Dicom:
    """The DICOM door."""

    ae_title: str = "BURDEN"
    host: str = "127.0.0.1"
    port: int = 11112
    peers: tuple[Peer, ...] = ()
    accept: Literal["images", "everything"] = "images"
    tls: Tls | None = None


@dataclass(frozen=True)
class Http:
    """The HTTP door: STOW-RS, status page, metrics."""

    host: str = "127.0.0.1"
    port: int = 8042
    allow: tuple[str, ...] = ("127.0.0.1/32", "::1/128")
    token_file: Path | None = None
    tls: Tls | None = None

    @property
    def networks(self) -> tuple[Network, ...]:
        """Who may connect."""
        return tuple(ip_network(one, strict=False) for one in self.allow)


@dataclass(frozen=True)
class Complete:
    """When a study is complete.

    Parameters
    ----------
    quiet_s
        Nothing has come for so many seconds.
    instances
        So many images are there; 0: only the quiet time counts.
    """

    quiet_s: float = 60.0
    instances: int = 0


@dataclass(frozen=True)
class Work:
    """What is done with a study.

    Parameters
    ----------
    command
        A program to run in place of the built-in job; ``{images}`` and ``{out}`` stand for the
        two folders. It makes ``{out}`` with the objects to send in ``{out}/dicom``, and ends with
        the exit codes of ``burden run``.
    tries
        How often a study is tried in all before it is put into ``failed``.
    interruptions
        How often the node itself may die over a study before it is put there.
    """

    command: tuple[str, ...] = ()
    model: str | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    facts: Path | None = None
    policy: Path | None = None
    books: tuple[str, ...] = ()
    draws: int = 256
    strict: bool = False
    timeout_s: float = 3600.0
    tries: int = 3
    interruptions: int = 10
    again_after_s: float = 60.0


@dataclass(frozen=True)
class Target:
    """Where results go: ``dicom`` needs host, port and ae_title; ``stow`` needs url."""

    name: str
    kind: Literal["dicom", "stow"]
    host: str = ""
    port: int = 104
    ae_title: str = ""
    url: str = ""
    token_file: Path | None = None
    objects: tuple[Kind, ...] = ("seg", "sr", "sc", "report")
    tls: Tls | None = None


@dataclass(frozen=True)
class Retry:
    """How sending is tried again: the pause doubles from first_s to most_s, until give_up_h."""

    first_s: float = 5.0
    most_s: float = 900.0
    give_up_h: float = 72.0


@dataclass(frozen=True)
class Source:
    """An archive that is asked for new studies (QIDO-RS), and fetched from (WADO-RS).

    Parameters
    ----------
    days
        Studies of the last so many days are looked at.
    filters
        Further QIDO matching, as ``Keyword=value``.
    """

    name: str
    url: str
    every_s: float = 300.0
    days: int = 1
    filters: tuple[str, ...] = ("ModalitiesInStudy=CT",)
    token_file: Path | None = None
    tls: Tls | None = None


@dataclass(frozen=True)
class Keep:
    """How long a study stays in ``done`` and ``failed``."""

    done_h: float = 24.0
    failed_h: float = 336.0


@dataclass(frozen=True)
class Limits:
    """What is refused.

    Parameters
    ----------
    folder_gb
        Size of the node's folder beyond which nothing is taken in; 0: no such limit.
    free_gb
        What must stay free on the disk.
    """

    instance_mb: float = 1024.0
    pdu_kb: int = 128
    associations: int = 25
    folder_gb: float = 0.0
    free_gb: float = 5.0
    idle_s: float = 60.0


@dataclass(frozen=True)
class Settings:
    """Everything in ``node.yaml``."""

    folder: Path
    dicom: Dicom | None = None
    http: Http | None = None
    complete: Complete = field(default_factory=Complete)
    job: Work = field(default_factory=Work)
    send: tuple[Target, ...] = ()
    retry: Retry = field(default_factory=Retry)
    pull: tuple[Source, ...] = ()
    keep: Keep = field(default_factory=Keep)
    limits: Limits = field(default_factory=Limits)
    stop_within_s: float = 60.0


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server at ``host``."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_token(path: Path) -> str:
    """First line of a token file."""
    return path.read_text(encoding="utf-8").partition("\n")[0].strip()
