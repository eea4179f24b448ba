"""Write the digests of the images into compose.yaml and Dockerfile, next to their tags: `make pin-images` runs it.

    python deploy/pin_images.py [file ...]

A tag may be moved to other content; a digest is the hash of the content. The manifest is asked of the registry, without
a login, and hashed here. Run it again to take up what the tags have moved to, and look at the difference.
"""

import hashlib
import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
FILES = (HERE / "compose.yaml", HERE / "Dockerfile", HERE / "serve" / "Dockerfile")
OWN = ("question-pairs-dagster", "question-pairs-service")
"""The images that compose builds from the Dockerfiles."""

_IMAGE = re.compile(r"^(\s*image:\s*|FROM\s+)([^\s@]+)(@sha256:[0-9a-f]{64})?", re.MULTILINE)
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
)
_SECONDS = 30
_MOST_BYTES = 4 << 20


def digest(image: str) -> str:
    """The digest that a tag stands for now, such as `sha256:…`.

    Raises:
        OSError: when the registry can't be reached, or has no such image.
    """
    name, colon, tag = image.rpartition(":")
    if not colon or "/" in tag:
        name, tag = image, "latest"
    registry, _, path = name.partition("/")
    if not path or not ("." in registry or ":" in registry or registry == "localhost"):
        registry, path = "registry-1.docker.io", name if "/" in name else f"library/{name}"
    is_here = registry.partition(":")[0] in ("127.0.0.1", "localhost")
    url = f"{'http' if is_here else 'https'}://{registry}/v2/{path}/manifests/{tag}"
    try:
        manifest = _get(url)
    except urllib.error.HTTPError as refusal:
        # Registries that are open to all still want a token, which they give to all.
        challenge = dict(re.findall(r'(\w+)="([^"]*)"', refusal.headers.get("WWW-Authenticate", "")))
        if refusal.code != 401 or "realm" not in challenge:
            raise
        query = urllib.parse.urlencode({key: challenge[key] for key in ("service", "scope") if key in challenge})
        token = json.loads(_get(f"{challenge['realm']}?{query}"))
        manifest = _get(url, token.get("token") or token["access_token"])
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"


def _get(url: str, token: str = "") -> bytes:
    headers = {"Accept": _MANIFESTS, **({"Authorization": f"Bearer {token}"} if token else {})}
    if not url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
        raise OSError(f"{url} is not asked without encryption")
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_SECONDS) as answer:  # noqa: S310
        content: bytes = answer.read(_MOST_BYTES)
    return content


def pinned(text: str) -> str:
    """The text of a file with the digest next to each image that it names."""
    digests = {image: digest(image) for _, image, _ in _IMAGE.findall(text) if image not in OWN}
    return _IMAGE.sub(lambda found: found[0] if found[2] in OWN else f"{found[1]}{found[2]}@{digests[found[2]]}", text)


def main(arguments: list[str]) -> None:
    """Pin the images of these files, all of them or none."""
    files = [Path(argument) for argument in arguments] or list(FILES)
    try:
        texts = {file: pinned(file.read_text(encoding="utf-8")) for file in files}
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"Error: no image was pinned, as the registry can't be asked: {' '.join(str(error).split())}")
    for file, text in texts.items():
        file.write_text(text, encoding="utf-8")
        for _, image, found in _IMAGE.findall(text):
            if image not in OWN:
                print(f"{file.name}: {image}{found}")


if __name__ == "__main__":
    main(sys.argv[1:])
