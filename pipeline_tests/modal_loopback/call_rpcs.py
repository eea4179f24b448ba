"""RPCs about function calls, as clients see them and as containers serve them."""

import asyncio
import time
from collections import Counter
from contextlib import suppress

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2 as pb

from .refusals import wrong_state
from .rpcs import Rpcs
from .state import Call, Input

_HEARTBEAT_SECONDS = 10.0
_Result = pb.GenericResult


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

    async def function_get_call_graph(self, request: pb.FunctionGetCallGraphRequest) -> pb.FunctionGetCallGraphResponse:
        call = self._world.call(request.function_call_id)
        pending = _Result.GENERIC_STATUS_UNSPECIFIED
        inputs = [
            pb.InputCallGraphInfo(
                input_id=each.id,
                function_call_id=call.id,
                task_id=each.latest_container,
                status=each.result.status if each.result else pending,
            )
            for each in call.inputs
        ]
        described = pb.FunctionCallCallGraphInfo(function_call_id=call.id, function_name=call.function.name)
        return pb.FunctionGetCallGraphResponse(inputs=inputs, function_calls=[described])

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
