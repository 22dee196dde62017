"""Everything that can go wrong, as a tree; both sides of the socket raise and read the same classes.

KritaDragError
├─ ProtocolError       VersionMismatch · BadFrame · TooLarge · AuthFailed · NotPaired · PairingFailed · UnsafeKeyFile
├─ EngineUnavailable   NotInstalled · NotRunning · HandshakeTimeout · ConnectionLost · AlreadyRunning · AddressInUse
│                      Busy
├─ InstallError        NoDiskSpace · NetworkBlocked · HashMismatch · PermissionDenied · WrongTorch
├─ ModelError          ModelNotFound · ModelCorrupt · ModelUnsupported · UnsafeFile
├─ JobError            Cancelled · OutOfMemory · InversionFailed · NoSession · WorkerCrashed
├─ DocumentError       NoLayer · UnsupportedColor · SelectionTooSmall · LayerChanged
└─ InputError          BadImage · BadPoints · BadMask · BadOutput · BadOption · BadSession

Each leaf has a stable `code`, which is its anchor in docs/errors.md and the key that the plugin shows.
"""

from __future__ import annotations


class KritaDragError(Exception):
    """A failure told to the user as one sentence, with a way out.

    Attributes:
        code: stable name of the kind of failure, lower case with dashes; anchor in docs/errors.md.
        message: what happened, one sentence.
        hint: what the user can do about it, one sentence; may be empty.
        retryable: whether the same request can succeed later without a change.
        at: number of the point concerned, from 0; None when it is about no point.
        retry_s: when to try again, seconds; None when nobody knows.
    """

    code = "internal"
    retryable = False

    def __init__(self, message: str, hint: str = "", *, at: int | None = None, retry_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.at = at
        self.retry_s = retry_s

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class ProtocolError(KritaDragError):
    """The two sides do not understand each other.

    Attributes:
        re: id of the request in the message that was refused, when that much of it could be read.
    """

    re: str | None = None


class VersionMismatch(ProtocolError):
    """Plugin and engine speak different versions of the protocol."""

    code = "version-mismatch"


class BadFrame(ProtocolError):
    """A message is not what the specification allows."""

    code = "bad-frame"


class TooLarge(ProtocolError):
    """A message is larger than the limits of the protocol."""

    code = "too-large"


class AuthFailed(ProtocolError):
    """Only the user who runs the engine may ask for that."""

    code = "auth-failed"


class NotPaired(ProtocolError):
    """The client's key is not on the engine's allow-list."""

    code = "not-paired"


class PairingFailed(ProtocolError):
    """The one-time code is wrong, used, or too old."""

    code = "pairing-failed"


class UnsafeKeyFile(ProtocolError):
    """A key file can be read by others, or does not hold a key."""

    code = "unsafe-key-file"


class EngineUnavailable(KritaDragError):
    """There is no engine to talk to."""

    retryable = True


class NotInstalled(EngineUnavailable):
    """The engine is not installed on this machine."""

    code = "not-installed"
    retryable = False


class NotRunning(EngineUnavailable):
    """The engine is installed but no process answers."""

    code = "not-running"


class HandshakeTimeout(EngineUnavailable):
    """The engine did not answer the greeting in time."""

    code = "handshake-timeout"


class ConnectionLost(EngineUnavailable):
    """The engine was there and went away."""

    code = "connection-lost"


class AlreadyRunning(EngineUnavailable):
    """Another engine uses the same folder."""

    code = "already-running"


class AddressInUse(EngineUnavailable):
    """The address to listen on is taken or not of this machine."""

    code = "address-in-use"


class Busy(EngineUnavailable):
    """The engine takes no more work at present."""

    code = "busy"


class InstallError(KritaDragError):
    """Something needed could not be put on this machine."""


class NoDiskSpace(InstallError):
    """The disk is full."""

    code = "no-disk-space"


class NetworkBlocked(InstallError):
    """A download did not come through."""

    code = "network-blocked"
    retryable = True


class HashMismatch(InstallError):
    """A download is not the file that it should be."""

    code = "hash-mismatch"
    retryable = True


class PermissionDenied(InstallError):
    """The user may not write where it is needed."""

    code = "permission-denied"


class WrongTorch(InstallError):
    """The PyTorch found is missing, broken or too old."""

    code = "wrong-torch"


class ModelError(KritaDragError):
    """A generator file is not usable."""


class ModelNotFound(ModelError):
    """No model of that name is known or installed."""

    code = "model-not-found"


class ModelCorrupt(ModelError):
    """The file is damaged or contradicts itself."""

    code = "model-corrupt"


class ModelUnsupported(ModelError):
    """The file is sound but not a network that we can run."""

    code = "model-unsupported"


class UnsafeFile(ModelError):
    """The file asks for code to be run; it was refused."""

    code = "unsafe-file"


class JobError(KritaDragError):
    """A computation ended without the wanted result."""


class Cancelled(JobError):
    """The user stopped the job."""

    code = "cancelled"


class OutOfMemory(JobError):
    """The device's memory does not hold the job."""

    code = "out-of-memory"


class InversionFailed(JobError):
    """No latent was found that looks like the picture."""

    code = "inversion-failed"


class NoSession(JobError):
    """The engine has no such session for this key."""

    code = "no-session"


class WorkerCrashed(JobError):
    """The process that computes died more than once on the same request."""

    code = "worker-crashed"


class DocumentError(KritaDragError):
    """The Krita document is not in a state to be edited."""


class NoLayer(DocumentError):
    """There is no layer to read from or write above."""

    code = "no-layer"


class UnsupportedColor(DocumentError):
    """The document's colour space cannot be converted without loss that matters."""

    code = "unsupported-color"


class SelectionTooSmall(DocumentError):
    """The selection holds too few pixels to edit."""

    code = "selection-too-small"


class LayerChanged(DocumentError):
    """The document does not take or hold what the edit needs: a layer, its frames, its kept session."""

    code = "layer-changed"


class InputError(KritaDragError):
    """What the user gave cannot be used."""


class BadImage(InputError):
    """The picture is missing, damaged or beyond the limits."""

    code = "bad-image"


class BadPoints(InputError):
    """Handle and target points make no sense for this picture."""

    code = "bad-points"


class BadMask(InputError):
    """The mask does not fit the picture."""

    code = "bad-mask"


class BadOutput(InputError):
    """The result cannot be written where it was asked for."""

    code = "bad-output"


class BadOption(InputError):
    """An option has a value outside its range."""

    code = "bad-option"


class BadSession(InputError):
    """A session's file cannot be used."""

    code = "bad-session"


def by_code(code: str) -> type[KritaDragError]:
    """Return the class of a code; `KritaDragError` itself for one that this release does not know."""
    waiting = [KritaDragError]
    while waiting:
        kind = waiting.pop()
        if kind.code == code:
            return kind
        waiting += kind.__subclasses__()
    return KritaDragError
