"""
`boto3` and `botocore`: each operation of S3 on its bucket and key, and each operation of another service of AWS.

- S3: `read`, `write`, `edit`, `delete` or `share` of `s3://bucket/key`, of each key where there are several; copying
  reads the source too. Another service: `execute` of `aws://service/region/Operation`.
- A presigned URL or form gives access away: `share` of what it is for, besides what can be done with it.
- An endpoint that is not AWS's own can be anybody's: the same actions on its address are asked for as well.

The official hook is the event `before-call`; wrapped is `BaseClient._make_api_call`, where clients, resources,
paginators, waiters and transfers meet. Handlers of events can change parameters after that, and addresses and headers
later still. So what is about to be sent is decided again where it is not what was decided: where the request is put
together, and where it is sent. A proxy that a client names is a place of its own.

Transfers (`upload_file`, `download_fileobj`, …) run in threads of their own; the agent's identity goes along. The body
of an object is read later: whether the agent may go on is checked at each piece. A client that is made inside of a
session reads `~/.aws` as any file, and fetches credentials from the addresses where they are.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Mapping
from contextvars import ContextVar, copy_context
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast
from urllib.parse import urlsplit

from agentid.access.library import Library, Patch
from agentid.access.places import ACTION_OF_METHOD
from agentid.access.s3.operations import accesses_of, s3_resource
from agentid.access.s3.requests import Request, at_endpoint, is_as_decided
from agentid.access.touching import Touching
from agentid.access.web.request import WebRequest, proxy_accesses
from agentid.permission import Action
from agentid.record import Access
from agentid.record import attributes as names
from agentid.resource import Resource

if TYPE_CHECKING:
    from agentid.access.installation import Installation

__all__ = ["LIBRARY"]

_BELOW: Final = frozenset({"urllib3", "http.client", "socket"})
_FILES: Final = frozenset({"file"})
_LISTS: Final = ("Contents", "Versions", "Buckets", "Uploads", "Parts")
_CONTEXT: Final = "_agentid_context"


class _Call(NamedTuple):
    """One operation that is being made, what was decided about it, and what it may send."""

    accesses: tuple[Access, ...]
    requests: list[Request]
    touching: Touching


class _Presigned(NamedTuple):
    """A request that was put together to be signed, with what it was decided to be."""

    request: Any
    method: str
    accesses: tuple[Access, ...]


@cache
def _aws(access: Installation) -> _Aws:
    # One, so that all that is wrapped knows what was decided, also what stayed from an earlier time.
    return _Aws(access)


class _Aws:
    def __init__(self, access: Installation) -> None:
        self.access = access
        self.calls: ContextVar[_Call | None] = ContextVar("agentid_aws_call", default=None)
        self.presigned: ContextVar[_Presigned | None] = ContextVar("agentid_aws_presigned", default=None)

    # --- operations ------------------------------------------------------------------------------------------------

    def calls_operation(self, wrapped: Any, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self.access.watches("s3"):
            return wrapped(*args, **kwargs)
        return self._call(wrapped, client, *args, **kwargs)

    def _call(self, wrapped: Any, client: Any, operation_name: str, api_params: Mapping[str, Any]) -> Any:
        given = _copied(api_params)
        touching = self._touching(client, operation_name, given, str(client.meta.endpoint_url), is_quoted=False)
        with touching.block as seen:
            token = self.calls.set(_Call(touching.accesses, [], seen))
            try:
                answer = wrapped(operation_name, given)
            finally:
                self.calls.reset(token)
            _look_at(answer, given, seen)
            return answer

    def puts_together(self, wrapped: Any, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`_convert_to_request_dict`: the parameters as they are sent, after all handlers that may change them."""
        if not self.access.watches("s3"):
            return wrapped(*args, **kwargs)
        return self._put_together(wrapped, client, *args, **kwargs)

    def _put_together(
        self,
        wrapped: Any,
        client: Any,
        api_params: Any,
        operation_model: Any,
        endpoint_url: str,
        *rest: Any,
        **named: Any,
    ) -> Any:
        given = _copied(api_params)
        context = rest[0] if rest else named.get("context")
        is_presigned = bool(context and context.get("is_presign_request"))
        if is_presigned and _is_post(inspect.currentframe()):
            return wrapped(given, operation_model, endpoint_url, *rest, **named)  # decided with its key
        touching = self._touching(
            client, operation_model.name, given, endpoint_url, is_quoted=True, is_presigned=is_presigned
        )
        call = self.calls.get()
        if call is not None and not is_presigned and touching.accesses == call.accesses:
            request = wrapped(given, operation_model, endpoint_url, *rest, **named)
        else:
            with touching.block:
                request = wrapped(given, operation_model, endpoint_url, *rest, **named)
        if is_presigned:
            self.presigned.set(_Presigned(request, str(request["method"]), touching.accesses))
        elif call is not None:
            names_keys = operation_model.name != "DeleteObjects"
            call.requests.append(Request.of(endpoint_url, request, touching.accesses, names_keys=names_keys))
        return request

    def _touching(
        self, client: Any, operation: str, given: Any, endpoint: str, *, is_quoted: bool, is_presigned: bool = False
    ) -> _Decided:
        model = client.meta.service_model
        service, region = str(model.service_name), str(client.meta.region_name or "global")
        attributes: dict[str, Any] = {names.SERVER_ADDRESS: urlsplit(endpoint).hostname or ""}
        if service == "s3":
            named = ((names.S3_BUCKET, "Bucket"), (names.S3_KEY, "Key"))
            attributes |= {name: given[key] for name, key in named if _is_plain(given.get(key))}
        found: list[Access] = []

        def accesses() -> Iterable[Access]:
            if service != "s3" or "Bucket" not in given:
                action = _ACTIONS_WITHOUT_BUCKET.get(operation, "execute") if service == "s3" else "execute"
                done = [Access(action, _operation(service, region, operation))]
            else:
                done = accesses_of(operation, given, is_quoted=is_quoted)
            if is_presigned:
                done += [Access("share", each.resource) for each in done]
            found.extend(dict.fromkeys([*done, *at_endpoint(done, endpoint, str(model.endpoint_prefix))]))
            return found

        block = self.access.touching(
            LIBRARY,
            accesses,
            f"{model.service_id}/{operation}",
            attributes=attributes,
            is_client=True,
            accounts_for=_NONE,
        )
        return _Decided(block, tuple(found))

    # --- what is sent ------------------------------------------------------------------------------------------------

    def sends(self, wrapped: Any, session: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`URLLib3Session.send(request)`, where everything that `botocore` sends is sent."""
        if not self.access.watches("s3"):
            return wrapped(*args, **kwargs)
        return self._send(wrapped, session, *args, **kwargs)

    def _send(self, wrapped: Any, session: Any, request: Any) -> Any:
        def through() -> Iterable[Access]:
            proxy: str | None = session._proxy_config.proxy_url_for(request.url)
            if proxy:
                parts = urlsplit(proxy)
                yield from proxy_accesses(self.access, parts.hostname or "", parts.port or 80)

        call, headers = self.calls.get(), request.headers.items()
        asked = WebRequest(str(request.method), str(request.url), headers, through)
        if call is not None:
            call.touching.check()
            if any(is_as_decided(request, decided) for decided in call.requests):
                proxies = tuple(through())
                if not proxies:
                    with self.access.accounting_for(_BELOW):
                        return wrapped(request)
                asked = WebRequest.of(lambda: proxies)
        # Credentials that are fetched, a request that a handler made another one, or a proxy that the agent named.
        with asked.touching(self.access, LIBRARY), self.access.accounting_for(_BELOW):
            return wrapped(request)

    # --- access that is given away -----------------------------------------------------------------------------------

    def signs_url(self, wrapped: Any, signer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`RequestSigner.generate_presigned_url`: signs what was decided, by the method that was decided."""
        if not self.access.watches("s3"):
            return wrapped(*args, **kwargs)
        return self._sign_url(wrapped, signer, *args, **kwargs)

    def _sign_url(
        self, wrapped: Any, signer: Any, request_dict: Any, operation_name: str, *rest: Any, **named: Any
    ) -> Any:
        decided = self.presigned.get()
        method = str(request_dict["method"])
        if decided is not None and decided.request is request_dict and decided.method == method:
            self.presigned.set(None)
            return wrapped(request_dict, operation_name, *rest, **named)

        def accesses() -> Iterable[Access]:
            if decided is not None and decided.request is request_dict:
                # By another method than that of its operation, it does something else to the same.
                places = dict.fromkeys(each.resource for each in decided.accesses)
                return [Access(ACTION_OF_METHOD.get(method, "execute"), place) for place in places]
            # Put together by hand, it may be anything.
            place = _operation(str(signer.signing_name), str(signer.region_name), operation_name)
            return [Access("execute", place), Access("share", place)]

        with self.access.touching(LIBRARY, accesses, f"presign {operation_name}"):
            return wrapped(request_dict, operation_name, *rest, **named)

    def signs_form(self, wrapped: Any, _presigner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`S3PostPresigner.generate_presigned_post`: a form by which anybody may write."""
        if not self.access.watches("s3"):
            return wrapped(*args, **kwargs)
        return self._sign_form(wrapped, *args, **kwargs)

    def _sign_form(
        self, wrapped: Any, request_dict: Any, fields: Any = None, conditions: Any = None, *rest: Any, **named: Any
    ) -> Any:
        fields, conditions = _copied(fields or {}), _copied(conditions or [])
        url = str(request_dict["url"])

        def accesses() -> Iterable[Access]:
            buckets: list[Any] = [each["bucket"] for each in conditions if isinstance(each, dict) and "bucket" in each]
            done: list[Access] = []
            for bucket in buckets or [None]:
                place = s3_resource(bucket, fields.get("key"))
                done += [Access("write", place), Access("share", place)]
            return [*done, *at_endpoint(done, url, "s3")]

        with self.access.touching(LIBRARY, accesses, "presign POST"):
            return wrapped(request_dict, fields, conditions, *rest, **named)

    # --- threads, and files of its own -------------------------------------------------------------------------------

    def makes_task(self, wrapped: Any, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = wrapped(*args, **kwargs)
        if self.access.watches("s3"):
            setattr(task, _CONTEXT, copy_context())
        return result

    def runs_task(self, wrapped: Any, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """In a thread of the transfer, as who handed it over."""
        context = getattr(task, _CONTEXT, None)
        return wrapped(*args, **kwargs) if context is None else context.copy().run(wrapped, *args, **kwargs)

    def loads_model(self, wrapped: Any, _loader: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`JSONFileLoader.load_file(path)`: the descriptions of services that came with the library."""
        path = args[0] if args else kwargs.get("file_path")
        if not self.access.watches("file") or not self.is_own_file(path):
            return wrapped(*args, **kwargs)
        with self.access.accounting_for(_FILES):
            return wrapped(*args, **kwargs)

    def is_own_file(self, path: Any) -> bool:
        """Whether it came with the library."""
        homes = [getattr(sys.modules.get(name), "__file__", None) for name in ("botocore", "boto3")]
        folders = [Path(home).parent.resolve() / "data" for home in homes if home]
        return isinstance(path, str) and any(Path(path).resolve().is_relative_to(folder) for folder in folders)

    def reads_body(self, wrapped: Any, body: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`StreamingBody.read`, `readinto` and `readlines`: the bytes of an object, which arrive only now."""
        # What was decided in a session lasts until its end, wherever it is read.
        touching = cast("Touching | None", getattr(body, _CONTEXT, None))
        if touching is not None and self.access.is_on:
            touching.check()
        return wrapped(*args, **kwargs)


class _Decided(NamedTuple):
    block: Touching
    accesses: tuple[Access, ...]


_NONE: Final[frozenset[str]] = frozenset()
_ACTIONS_WITHOUT_BUCKET: Final[dict[str, Action]] = {"ListBuckets": "read", "ListDirectoryBuckets": "read"}


def _operation(service: str, region: str, operation: str) -> Resource:
    return Resource.of("aws", service, region, operation)


def _is_post(frame: Any) -> bool:
    """Whether a form is being signed: which asks for the address of its bucket as if to make it."""
    code = import_module("botocore.signers").generate_presigned_post.__code__
    while frame is not None and frame.f_code.co_name in {"_put_together", "puts_together"}:
        frame = frame.f_back
    return frame is not None and frame.f_code is code


def _is_plain(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()


def _copied(value: Any) -> Any:
    """Copy tables and lists, so that they do not change any more; what is sent, such as a file, stays what it is."""
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {str.__str__(key) if isinstance(key, str) else key: _copied(each) for key, each in items}
    if isinstance(value, list | tuple):
        return [_copied(each) for each in cast("list[Any]", value)]
    return str.__str__(value) if isinstance(value, str) else value


def _look_at(answer: Any, given: Mapping[str, Any], seen: Touching) -> None:
    if not isinstance(answer, Mapping):
        return
    table = cast("Mapping[str, Any]", answer)
    body, sent = table.get("Body"), given.get("Body")
    status = table.get("ResponseMetadata", {}).get("HTTPStatusCode")
    size = table.get("ContentLength") if body is not None else len(sent) if isinstance(sent, bytes) else None
    rows = next((len(table[name]) for name in _LISTS if isinstance(table.get(name), list)), None)
    seen(rows=rows, size=size, attributes={names.HTTP_STATUS: status} if isinstance(status, int) else None)
    if hasattr(body, "_raw_stream"):
        setattr(body, _CONTEXT, seen)


def _patches(module: ModuleType, access: Installation) -> Iterable[Patch]:
    httpsession, loaders = import_module("botocore.httpsession"), import_module("botocore.loaders")
    response, signers = import_module("botocore.response"), import_module("botocore.signers")
    aws = _aws(access)
    yield Patch(module.BaseClient, "_make_api_call", aws.calls_operation)
    yield Patch(module.BaseClient, "_convert_to_request_dict", aws.puts_together)
    yield Patch(httpsession.URLLib3Session, "send", aws.sends)
    yield Patch(signers.RequestSigner, "generate_presigned_url", aws.signs_url)
    yield Patch(signers.S3PostPresigner, "generate_presigned_post", aws.signs_form)
    yield Patch(loaders.JSONFileLoader, "load_file", aws.loads_model)
    for name in ("read", "readinto", "readlines"):
        if hasattr(response.StreamingBody, name):
            yield Patch(response.StreamingBody, name, aws.reads_body)
    try:
        tasks = import_module("s3transfer.tasks")
    except ImportError:
        return
    yield Patch(tasks.Task, "__init__", aws.makes_task)
    yield Patch(tasks.Task, "__call__", aws.runs_task)


LIBRARY: Final = Library(
    name="boto3",
    module="botocore.client",
    layer="s3",
    patches=_patches,
    distribution="botocore",
    contrib="opentelemetry.instrumentation.botocore:BotocoreInstrumentor",
    limits=(
        "transfers by the native `awscrt`; `aiobotocore`; what a handler of events changes in the contents that are "
        "sent; what somebody does with a presigned URL"
    ),
)
