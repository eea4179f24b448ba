"""RPCs about functions and their calls, as clients see them and as containers serve them."""

import asyncio
import time
from collections import Counter
from contextlib import suppress

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2 as pb

from .refusals import not_found, unimplemented, wrong_state
from .rpcs import Rpcs
from .state import Call, Function, Input

_HEARTBEAT_SECONDS = 10.0
_Result = pb.GenericResult


class FunctionRpcs(Rpcs):
    """Plain functions. Classes are not modelled."""

    async def function_precreate(self, request: pb.FunctionPrecreateRequest) -> pb.FunctionPrecreateResponse:
        app = self._world.app(request.app_id)
        function_id = request.existing_function_id or app.functions.get(request.function_name)
        if function_id:
            function = self._world.function(function_id)
        else:
            handle = pb.FunctionHandleMetadata()
            function = Function(self._world.new_id("fu"), app, request.function_name, handle)
            self._world.functions[function.id] = function
            app.functions[request.function_name] = function.id
        function.handle = _handle(function, request)
        return pb.FunctionPrecreateResponse(function_id=function.id, handle_metadata=function.handle)

    async def function_create(self, request: pb.FunctionCreateRequest) -> pb.FunctionCreateResponse:
        function = self._world.function(request.existing_function_id)
        has_choices = request.HasField("function_data")  # several GPU types in order of preference: the first is free
        definition = request.function_data.ranked_functions[0].function if has_choices else request.function
        if definition.HasField("schedule") or request.HasField("schedule"):
            raise unimplemented("scheduled functions")
        if definition.webhook_config.type:
            raise unimplemented("web functions")
        self._check_references(definition)
        function.staged = pb.Function()
        function.staged.CopyFrom(definition)
        function.handle = _handle(function, definition)
        function.data = request.function_data if has_choices else _data(definition)
        return pb.FunctionCreateResponse(
            function_id=function.id,
            function=definition,
            handle_metadata=function.handle,
            function_data=function.data,
        )

    async def function_get(self, request: pb.FunctionGetRequest) -> pb.FunctionGetResponse:
        app = self._world.deployed.get(request.app_name)
        if app is None:
            raise not_found("App", request.app_name)
        if request.object_tag not in app.functions:
            raise not_found(f"function of App {request.app_name!r}", request.object_tag)
        function = self._world.function(app.functions[request.object_tag])
        return pb.FunctionGetResponse(function_id=function.id, handle_metadata=function.handle, function=function.data)

    async def function_get_by_id(self, request: pb.FunctionGetByIdRequest) -> pb.FunctionGetByIdResponse:
        function = self._world.function(request.function_id)
        return pb.FunctionGetByIdResponse(handle_metadata=function.handle, function=function.data)

    async def function_bind_params(self, request: pb.FunctionBindParamsRequest) -> pb.FunctionBindParamsResponse:
        base, options = self._world.function(request.function_id), request.function_options
        for mount in options.volume_mounts:
            self._world.volume(mount.volume_id)
        for secret_id in options.secret_ids:
            self._world.secret(secret_id)
        key = (base.id, request.serialized_params, options.SerializeToString(deterministic=True))
        variant = self._world.variants.get(key)
        if variant is None:
            variant = Function(
                self._world.new_id("fu"),
                base.app,
                base.name,
                base.handle,
                data=base.data,
                base=base,
                options=options,
                serialized_params=request.serialized_params,
            )
            self._world.variants[key] = self._world.functions[variant.id] = variant
        return pb.FunctionBindParamsResponse(bound_function_id=variant.id, handle_metadata=variant.handle)

    def _check_references(self, definition: pb.Function) -> None:
        for mount_id in definition.mount_ids:
            self._world.mount(mount_id)
        for mount in definition.volume_mounts:
            self._world.volume(mount.volume_id)
        for secret_id in definition.secret_ids:
            self._world.secret(secret_id)
        if definition.image_id:
            self._world.image(definition.image_id)
        if self._world.build_failure:
            raise wrong_state("the function's image has not been built")


def _handle(function: Function, source: pb.Function | pb.FunctionPrecreateRequest) -> pb.FunctionHandleMetadata:
    return pb.FunctionHandleMetadata(
        function_name=source.function_name,
        function_type=source.function_type,
        app_id=function.app.id,
        definition_id=f"de-{function.id}",
        supported_input_formats=source.supported_input_formats,
        supported_output_formats=source.supported_output_formats,
        function_schema=source.function_schema,
    )


def _data(definition: pb.Function) -> pb.FunctionData:
    """Describe a function with one choice of resources as one with several is described."""
    return pb.FunctionData(
        module_name=definition.module_name,
        function_name=definition.function_name,
        function_type=definition.function_type,
        timeout_secs=definition.timeout_secs,
        ranked_functions=[pb.FunctionData.RankedFunction(rank=0, function=definition)],
    )


class CallRpcs(Rpcs):
    """A call has the inputs that it was made with; results stay for as long as the server runs."""

    async def function_map(self, request: pb.FunctionMapRequest) -> pb.FunctionMapResponse:
        function = self._world.function(request.function_id)
        if function.app.is_stopped:
            raise wrong_state(f"App {function.app.id!r} is stopped")
        call = Call(self._world.new_id("fc"), function, request)
        self._world.calls[call.id] = call
        for item in request.pipelined_inputs:
            entered = Input(self._world.new_id("in"), call, item)
            self._world.inputs[entered.id] = entered
            call.inputs.append(entered)
            self._scheduler.enqueue(entered)
        return pb.FunctionMapResponse(
            function_call_id=call.id,
            function_call_jwt=f"jwt:{call.id}",
            retry_policy=function.definition.retry_policy,
            max_inputs_outstanding=1000,
            pipelined_inputs=[
                pb.FunctionPutInputsResponseItem(idx=each.item.idx, input_id=each.id, input_jwt=f"jwt:{each.id}")
                for each in call.inputs
            ],
        )

    async def function_get_outputs(self, request: pb.FunctionGetOutputsRequest) -> pb.FunctionGetOutputsResponse:
        call = self._world.call(request.function_call_id)
        first, last = (request.start_idx, request.end_idx) if request.HasField("start_idx") else (0, len(call.inputs))
        end = time.monotonic() + request.timeout
        while True:
            ready = [each for each in call.inputs if each.result and first <= each.item.idx <= last]
            left = end - time.monotonic()
            if ready or left <= 0:
                break
            await call.finished.wait(left)
        return pb.FunctionGetOutputsResponse(
            last_entry_id="0-0",
            num_unfinished_inputs=sum(each.result is None for each in call.inputs),
            outputs=[
                pb.FunctionGetOutputsItem(
                    result=each.result,
                    idx=each.item.idx,
                    input_id=each.id,
                    data_format=each.data_format,
                    task_id=each.latest_container,
                    input_started_at=each.started_at,
                    retry_count=each.retry_count,
                )
                for each in ready
            ],
        )

    async def function_call_cancel(self, request: pb.FunctionCallCancelRequest) -> Empty:
        self._scheduler.cancel(self._world.call(request.function_call_id), request.terminate_containers)
        return Empty()

    async def function_call_from_id(self, request: pb.FunctionCallFromIdRequest) -> pb.FunctionCallFromIdResponse:
        call = self._world.call(request.function_call_id)
        return pb.FunctionCallFromIdResponse(
            function_call_id=call.id,
            num_inputs=len(call.inputs),
            metadata=pb.FunctionCallHandleMetadata(app_id=call.function.app.id, function_id=call.function.id),
        )

    async def function_call_get_info(self, request: pb.FunctionCallGetInfoRequest) -> pb.FunctionCallGetInfoResponse:
        call = self._world.call(request.function_call_id)
        counts = Counter(each.result.status for each in call.inputs if each.result)

        def total(*statuses: "_Result.GenericStatus.ValueType") -> pb.InputCategoryInfo:
            return pb.InputCategoryInfo(total=sum(counts[status] for status in statuses))

        info = pb.FunctionCallInfo(
            function_call_id=call.id,
            created_at=call.created_at,
            total_inputs=len(call.inputs),
            pending_inputs=pb.InputCategoryInfo(total=len(call.inputs) - counts.total()),
            succeeded_inputs=total(_Result.GENERIC_STATUS_SUCCESS),
            timeout_inputs=total(_Result.GENERIC_STATUS_TIMEOUT),
            cancelled_inputs=total(_Result.GENERIC_STATUS_TERMINATED),
            failed_inputs=total(
                _Result.GENERIC_STATUS_FAILURE,
                _Result.GENERIC_STATUS_INIT_FAILURE,
                _Result.GENERIC_STATUS_INTERNAL_FAILURE,
            ),
        )
        return pb.FunctionCallGetInfoResponse(info=info)

    async def container_hello(self, request: Empty) -> Empty:
        self._sending_container()
        return Empty()

    async def container_heartbeat(self, request: pb.ContainerHeartbeatRequest) -> pb.ContainerHeartbeatResponse:
        cancellations = self._sending_container().cancellations
        with suppress(TimeoutError):  # answered late, so that a cancellation arrives at once
            input_id = await asyncio.wait_for(cancellations.get(), _HEARTBEAT_SECONDS)
            return pb.ContainerHeartbeatResponse(cancel_input_event=pb.CancelInputEvent(input_ids=[input_id]))
        return pb.ContainerHeartbeatResponse()

    async def function_get_inputs(self, request: pb.FunctionGetInputsRequest) -> pb.FunctionGetInputsResponse:
        item = await self._scheduler.next_input(self._sending_container())
        if item is None:
            return pb.FunctionGetInputsResponse(inputs=[pb.FunctionGetInputsItem(kill_switch=True)])
        delivered = pb.FunctionGetInputsItem(
            input_id=item.id,
            input=item.item.input,
            function_call_id=item.call.id,
            retry_count=item.retry_count,
            function_map_idx=item.item.idx,
            function_call_invocation_type=item.call.request.function_call_invocation_type,
        )
        return pb.FunctionGetInputsResponse(inputs=[delivered])

    async def function_put_outputs(self, request: pb.FunctionPutOutputsRequest) -> Empty:
        container = self._sending_container()
        for output in request.outputs:
            item = self._world.input(output.input_id)
            is_current = item.container is container and output.retry_count == item.retry_count
            if is_current:  # otherwise the try was given up before it answered
                self._scheduler.finish(item, output.result, output.data_format)
        return Empty()

    async def task_result(self, request: pb.TaskResultRequest) -> Empty:
        self._sending_container().init_failure = request.result
        return Empty()
