"""The refusals of the control plane, as gRPC errors: one line that names the thing and the value."""

from grpclib import GRPCError, Status


def not_found(what: str, name: str) -> GRPCError:
    """Say that nothing has this id or name."""
    return GRPCError(Status.NOT_FOUND, f"{what} {name!r} not found")


def invalid(message: str) -> GRPCError:
    """Say that the request itself is wrong, whatever the state."""
    return GRPCError(Status.INVALID_ARGUMENT, message)


def wrong_state(message: str) -> GRPCError:
    """Say that the thing exists but can't do this now."""
    return GRPCError(Status.FAILED_PRECONDITION, message)


def already_exists(what: str, name: str) -> GRPCError:
    """Say that the name is taken."""
    return GRPCError(Status.ALREADY_EXISTS, f"{what} {name!r} already exists")


def unimplemented(what: str) -> GRPCError:
    """Say by name what the stand-in doesn't model."""
    return GRPCError(Status.UNIMPLEMENTED, f"the loopback server doesn't implement {what}")
