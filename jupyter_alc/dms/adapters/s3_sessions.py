"""Keys for one person, one prefix and an hour, asked for with a broker's keys that never leave the Hub (W19)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from jupyter_alc.core.dataset import Access
from jupyter_alc.core.errors import BadInput, Denied, Missing, Unavailable
from jupyter_alc.core.names import slug

if TYPE_CHECKING:
    from collections.abc import Mapping

SHORTEST_SECONDS: Final = 900
USUAL_SECONDS: Final = 3600
_READ: Final = ("s3:GetObject",)
_WRITE: Final = (*_READ, "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
_WILD: Final = frozenset("*?$")
_WORDS: Final = frozenset({"role", "access_key", "secret_key", "sts", "seconds"})


def is_broker(words: Mapping[str, str]) -> bool:
    """Say whether these credentials are for asking for others, and not for a machine."""
    return "role" in words


def session_keys(words: Mapping[str, str], url: str, access: Access, user: str) -> dict[str, str]:
    """Ask for the keys of `user` for the dataset at `url`; blocks.

    `words`: `role`, the broker's `access_key` and `secret_key`, perhaps `sts` (another address) and `seconds`.

    Raises `BadInput` for words that cannot be used, `Denied` and `Unavailable` as the archive answers.
    """
    try:
        import botocore.config  # noqa: PLC0415  (only where an archive has roles)
        import botocore.exceptions  # noqa: PLC0415
        import botocore.session  # noqa: PLC0415
    except ImportError as error:
        raise Missing("The Hub cannot ask S3 for session keys.", next_step="Install jupyter-alc[s3] there.") from error
    parts, query = urlsplit(url), parse_qs(urlsplit(url).query)
    try:
        client = botocore.session.Session().create_client(
            "sts",
            endpoint_url=words.get("sts") or query.get("endpoint", [None])[0],
            region_name=query.get("region", ["us-east-1"])[0],
            aws_access_key_id=words["access_key"],
            aws_secret_access_key=words["secret_key"],
            config=botocore.config.Config(
                connect_timeout=5, read_timeout=15, retries={"total_max_attempts": 2}, proxies={}
            ),
        )
        told = client.assume_role(
            RoleArn=words["role"],
            RoleSessionName=slug(user)[:60],
            DurationSeconds=_seconds(words),
            Policy=policy(parts.netloc, unquote(parts.path).strip("/"), access),
        )["Credentials"]
    except botocore.exceptions.ClientError as error:
        raise _refused(error) from error
    except (botocore.exceptions.BotoCoreError, KeyError, ValueError) as error:
        raise Unavailable(
            "The archive gives no session keys now.", next_step="Try again in a moment, or choose without its datasets."
        ) from error
    return {
        "access_key": str(told["AccessKeyId"]),
        "secret_key": str(told["SecretAccessKey"]),
        "session_token": str(told["SessionToken"]),
        "expires": told["Expiration"].isoformat(),
    }


def policy(bucket: str, prefix: str, access: Access) -> str:
    """What the session may do. Without a blank: Ceph 16 does not read the `+` that they become on the way."""
    if _WILD & {*prefix, *bucket}:
        raise BadInput(
            f"The prefix {prefix[:60]!r} cannot be told to S3 exactly.", next_step="Use no * ? $ in it.", field="url"
        )
    below = f"{prefix}/" if prefix else ""
    listing: dict[str, Any] = {
        "Effect": "Allow",
        "Action": ["s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::{bucket}"],
    }
    if below:
        listing["Condition"] = {"StringLike": {"s3:prefix": [f"{below}*"]}}
    objects = {
        "Effect": "Allow",
        "Action": list(_WRITE if access is Access.WRITE else _READ),
        "Resource": [f"arn:aws:s3:::{bucket}/{below}*"],
    }
    told = json.dumps({"Version": "2012-10-17", "Statement": [objects, listing]}, separators=(",", ":"))
    return told.replace(" ", "\\u0020")


def check_broker(words: Mapping[str, str]) -> None:
    """Refuse words that are missing or unknown. Raises `BadInput`."""
    missing = [name for name in ("access_key", "secret_key") if not words.get(name)]
    stray = sorted(set(words) - _WORDS)
    if missing or stray:
        told = f"lack {' and '.join(missing)}" if missing else f"have no {stray[0][:60]!r}"
        raise BadInput(
            f"Credentials with a role {told}.", next_step=f"Give {', '.join(sorted(_WORDS))}.", field="credentials"
        )
    _seconds(words)


def _seconds(words: Mapping[str, str]) -> int:
    told = words.get("seconds", str(USUAL_SECONDS))
    if not (told.isascii() and told.isdigit()) or int(told) < SHORTEST_SECONDS:
        raise BadInput(
            f"{told[:20]!r} are no seconds of a session.",
            next_step=f'Write at least seconds: "{SHORTEST_SECONDS}".',
            field="credentials",
        )
    return int(told)


def _refused(error: Any) -> Denied | Unavailable:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status >= 500:
        return Unavailable("The archive gives no session keys now.", next_step="Try again in a moment.")
    return Denied(
        "The archive refuses session keys.", next_step="The operator looks at role and broker.", field="credentials"
    )
