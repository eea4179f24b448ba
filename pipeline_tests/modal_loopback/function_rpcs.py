"""RPCs about functions: their definitions, handles and variants."""

from modal_proto import api_pb2 as pb

from .refusals import not_found, unimplemented, wrong_state
from .rpcs import Rpcs
from .state import Function


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

    async def function_get_current_stats(self, request: pb.FunctionGetCurrentStatsRequest) -> pb.FunctionStats:
        function = self._world.function(request.function_id)
        return pb.FunctionStats(backlog=len(function.pending), num_total_tasks=len(function.containers))

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
