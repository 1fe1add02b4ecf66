"""
What each operation of S3 does to which object or bucket.

An operation that is not here may do anything: `execute` of its bucket. Whoever gives an object another owner, reader or
policy gives access away: `share`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote

from agentid.errors import ConfigurationError
from agentid.permission import Action
from agentid.record import Access
from agentid.resource import Resource

__all__ = ["accesses_of", "s3_resource"]

_OBJECT: Final[dict[str, Action]] = {
    "GetObject": "read",
    "GetObjectAcl": "read",
    "GetObjectAnnotation": "read",
    "GetObjectAttributes": "read",
    "GetObjectLegalHold": "read",
    "GetObjectRetention": "read",
    "GetObjectTagging": "read",
    "GetObjectTorrent": "read",
    "HeadObject": "read",
    "ListParts": "read",
    "SelectObjectContent": "read",
    "CompleteMultipartUpload": "write",
    "CopyObject": "write",
    "CreateMultipartUpload": "write",
    "PutObject": "write",
    "UploadPart": "write",
    "UploadPartCopy": "write",
    "DeleteObjectTagging": "edit",
    "PutObjectLegalHold": "edit",
    "PutObjectRetention": "edit",
    "PutObjectTagging": "edit",
    "RestoreObject": "edit",
    "UpdateObjectEncryption": "edit",
    "AbortMultipartUpload": "delete",
    "DeleteObject": "delete",
    "PutObjectAcl": "share",
}

_BUCKET: Final[dict[str, Action]] = {
    "HeadBucket": "read",
    "ListMultipartUploads": "read",
    "ListObjectVersions": "read",
    "ListObjects": "read",
    "ListObjectsV2": "read",
    "CreateBucket": "write",
    "DeleteBucket": "delete",
    "DeleteBucketCors": "edit",
    "DeleteBucketEncryption": "edit",
    "DeleteBucketTagging": "edit",
    "PutBucketAccelerateConfiguration": "edit",
    "PutBucketEncryption": "edit",
    "PutBucketRequestPayment": "edit",
    "PutBucketTagging": "edit",
    "PutBucketVersioning": "edit",
    "PutObjectLockConfiguration": "edit",
    "DeleteBucketOwnershipControls": "share",
    "DeleteBucketPolicy": "share",
    "DeletePublicAccessBlock": "share",
    "PutBucketAcl": "share",
    "PutBucketCors": "share",
    "PutBucketLogging": "share",
    "PutBucketNotification": "share",
    "PutBucketNotificationConfiguration": "share",
    "PutBucketOwnershipControls": "share",
    "PutBucketPolicy": "share",
    "PutBucketReplication": "share",
    "PutBucketWebsite": "share",
    "PutPublicAccessBlock": "share",
}

_COPIES: Final = frozenset({"CopyObject", "UploadPartCopy"})
_PRIVATE: Final = frozenset({"private", "bucket-owner-read", "bucket-owner-full-control"})
"""Access lists that let in nobody but the owner of the bucket."""


def accesses_of(operation: str, given: Mapping[str, Any], *, is_quoted: bool = False) -> list[Access]:
    """
    Say what an operation of S3 with these parameters does.

    Args:
        operation: Its name, such as `GetObject`.
        given: Its parameters.
        is_quoted: Whether the source of a copy is percent-encoded already, as it is sent.

    Raises:
        ConfigurationError: A bucket or key is missing, or no resource can be.
    """
    bucket = given.get("Bucket")
    if operation == "DeleteObjects":
        return [Access("delete", s3_resource(bucket, key)) for key in _keys(given)]
    if operation in _OBJECT:
        place = s3_resource(bucket, given.get("Key"))
        accesses = [Access(_OBJECT[operation], place)]
        if operation in _COPIES:
            accesses.append(Access("read", _source(given.get("CopySource"), is_quoted=is_quoted)))
    else:
        place = s3_resource(bucket)
        action = _BUCKET.get(operation, "read" if operation.startswith("GetBucket") else "execute")
        accesses = [Access(action, place)]
    if accesses[0].action != "share" and _gives_access(given):
        accesses.append(Access("share", place))
    return accesses


def s3_resource(bucket: Any, *keys: Any) -> Resource:
    """
    Give the resource of a bucket, or of an object in it.

    Raises:
        ConfigurationError: It has a name that no resource can have.
    """
    if not isinstance(bucket, str) or not all(isinstance(key, str) for key in keys):
        raise ConfigurationError("a bucket and a key are named by text")
    # A slash at the end names what it follows, as in a web address; any other empty segment is refused.
    segments = [part for key in keys for part in key.removesuffix("/").split("/")]
    return Resource.of("s3", str.__str__(bucket), *segments)


def _keys(given: Mapping[str, Any]) -> Iterable[Any]:
    try:
        return [each["Key"] for each in given["Delete"]["Objects"]]
    except (KeyError, TypeError):
        raise ConfigurationError("it does not say which objects are to be deleted") from None


def _source(given: Any, *, is_quoted: bool) -> Resource:
    if isinstance(given, Mapping):
        return s3_resource(given.get("Bucket"), given.get("Key"))  # type: ignore[reportUnknownMemberType]
    if not isinstance(given, str):
        raise ConfigurationError("it does not say which object is to be copied")
    path, _, version = given.partition("?versionId=")
    if "?" in path or "&" in version:
        raise ConfigurationError("the source of a copy is ambiguous")
    bucket, _, key = (unquote(path) if is_quoted else path).removeprefix("/").partition("/")
    return s3_resource(bucket, key)


def _gives_access(given: Mapping[str, Any]) -> bool:
    return given.get("ACL", "private") not in _PRIVATE or any(name.startswith("Grant") for name in given)
