"""The recorder: a torch-function mode over one forward pass that writes down what it sees as a graph."""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn
from torch.overrides import TorchFunctionMode

from gradlint.building.shape_rules import grouped_mm, without_values
from gradlint.building.unread import GUARDED, is_unread, usual_answer
from gradlint.core.graph import Guess, ModuleCall, Origin
from gradlint.tracing import names, targets
from gradlint.tracing.dropout import DROPOUTS, undropped
from gradlint.tracing.factories import LIKE, is_fake, made_like
from gradlint.tracing.frames import user_frames
from gradlint.tracing.leaves import first_floating, map_tensors, tensors
from gradlint.tracing.naming import Names
from gradlint.tracing.packed import PACKED, even
from gradlint.tracing.patches import body, hands_through, has_own_body, runs_through
from gradlint.tracing.preserve import Backups
from gradlint.tracing.values import Values, storage_key
from gradlint.tracing.writer import GraphWriter, Place


class Recorder(TorchFunctionMode):
    """Records calls of torch functions. Enter it around the forward pass.

    Args:
        known: names of the model's modules, parameters and buffers.
        backups: where memory of parameters and buffers is saved before something writes it.
        fake: whether tensors may be fake (without values).
        bottom: code object of the function that calls the model: frames below it are not the user's.
    """

    def __init__(self, known: Names, backups: Backups, *, fake: bool, bottom: Any) -> None:
        super().__init__()
        self.writer = GraphWriter()
        self.values = Values(self._constant, self._update)
        self.calls: list[ModuleCall] = []
        self.guesses: list[Guess] = []
        self._contents: dict[int, float] = {}
        """What fills constants that have no values, by identity."""
        self.used: set[str] = set()
        self._known = known
        self._backups = backups
        self._fake = fake
        self._bottom = bottom
        self._stack: list[tuple[str, str]] = []
        self._guessed_depth: int | None = None
        self._by_grad_fn: dict[Any, fx.Node] = {}
        self._own: set[int] = set()

    def release(self) -> None:
        """Let go of all tensors of the pass; the graph stays."""
        self.values.clear()
        self._by_grad_fn.clear()

    # ---- the world around a call

    def place(self) -> Place:
        """Module and source lines that are running now."""
        module, cls = self._stack[-1] if self._stack else ("", "")
        origin = Origin.RECORDED if self._guessed_depth is None else Origin.GUESSED
        return Place(module, cls, user_frames(self._bottom), origin)

    def feed(self, name: str, tensor: torch.Tensor) -> None:
        """Make an input tensor a placeholder."""
        if self.values.find(tensor) is None:
            self.values.bind(tensor, self.writer.placeholder(name, tensor))

    def module(self, module: nn.Module, run: Callable[[], Any], inputs: tuple[Any, ...]) -> Any:
        """Around a module's forward: keep the stack, note the call."""
        path = self._known.modules.get(id(module))
        if path is None:  # not registered: its operators belong to the module that called it
            return run()
        first = len(self.writer.nodes)
        with torch._C.DisableTorchFunction():
            read = tuple(self.values.read(t).name for t in tensors(inputs) if self.values.depends(t))
        self._stack.append((path, type(module).__name__))
        depth = len(self._stack)
        try:
            result = run()
        finally:
            self._stack.pop()
            if self._guessed_depth is not None and self._guessed_depth >= depth:
                self._guessed_depth = None
        with torch._C.DisableTorchFunction():
            returned = first_floating(result)
            output = self.values.read(returned).name if returned is not None else None
        self.calls.append(ModuleCall(path, output, read, first, len(self.writer.nodes)))
        return result

    # ---- calls

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in ("__get__", "__set__") and names.raw_name(func) not in names.PROPERTIES:
            return func(*args, **kwargs)
        if self._fake and name in GUARDED and args and (self._depends(args[0]) or is_unread(args[0])):
            return self._guess(name, args[0])
        if has_own_body(func):
            with self:
                return body(func, args, kwargs)
        op = names.canonical(func)
        if op in LIKE:
            return self._like(op, func, args, kwargs)
        if op in PACKED:
            result = even(op, func, args, kwargs, lambda f, *given: self.__torch_function__(f, (), given))
            if result is not None:
                return result
        func = grouped_mm if self._fake and op == "grouped_mm" else func
        return self.record(op, func, args, kwargs, undropped(func, op, args, kwargs))

    def record(self, op: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], ran: Any) -> Any:
        """Run `ran` (function, args, kwargs) and write it down as `op` of `args`."""
        read = list(tensors((args, kwargs)))
        dependent = any(self._depends(t) for t in read)
        if names.is_inplace(func, kwargs) or names.is_property(func, "__set__"):
            return self._write(op, args, kwargs, ran, dependent)
        result = ran[0](*(without_values(op, ran[1]) if self._fake else ran[1]), **ran[2])
        self._born(result, read)
        if not dependent:
            for tensor in tensors(result):
                self.values.bind(tensor, None)
        elif self._is_new(result, read):
            target, op, shown = targets.executable(ran[0], op, args if op in DROPOUTS else ran[1])
            self._note(op, target, (shown, ran[2]), result)
        return result

    def _is_new(self, result: Any, read: list[torch.Tensor]) -> bool:
        """Not a query, nor an argument handed back as it is."""
        return any(all(tensor is not other for other in read) for tensor in tensors(result))

    def _note(self, op: str, target: Callable[..., Any], shown: tuple[Any, ...], result: Any) -> None:
        place = self.place()
        args, kwargs = map_tensors(shown, self.values.read)
        self._bind(self.writer.call(op, target, args, kwargs, result, place), result, place)

    def _write(
        self, op: str, args: tuple[Any, ...], kwargs: dict[str, Any], ran: tuple[Any, Any, Any], dependent: bool
    ) -> Any:
        """A call that writes into its first argument, or into `out`."""
        out = kwargs.get("out")
        written = list(tensors(out)) if out is not None else list(tensors(args[:1] or tuple(kwargs.values())[:1]))
        for tensor in written:
            if storage_key(tensor) not in self._own:
                self._backups.keep(tensor)
            if dependent:
                self.values.before_dependent_write(tensor)
        target, op, shown = targets.executable(ran[0], op, args if op in DROPOUTS else ran[1])
        place = self.place() if dependent else None
        nodes = map_tensors((shown, ran[2]), self.values.read) if dependent else None
        result = ran[0](*ran[1], **ran[2])
        if place is None or nodes is None:
            for tensor in written:
                self.values.wrote(tensor, None)
            return result
        target = targets.set_item if op == "setitem" else target
        value = written if len(written) > 1 else written[0]
        node = self.writer.call(op, target, nodes[0], nodes[1], value, place, inplace=True)
        for index, tensor in enumerate(written):
            part = node if len(written) == 1 else self._unpack(node, index, tensor, place)
            self.values.wrote(tensor, part)
            self._trail(tensor, part)
        return result

    def _born(self, result: Any, read: list[torch.Tensor]) -> None:
        """Note memory that this forward pass has allocated itself: writing it concerns nobody else."""
        before = {storage_key(t) for t in read}
        self._own.update(key for key in map(storage_key, tensors(result)) if key not in before)

    def _bind(self, node: fx.Node, result: Any, place: Place) -> None:
        if isinstance(result, torch.Tensor):
            self.values.bind(result, node)
            self._trail(result, node)
        elif isinstance(result, tuple | list):
            for index, item in enumerate(result):
                if isinstance(item, torch.Tensor | tuple | list) and next(tensors(item), None) is not None:
                    self._bind(self._unpack(node, index, item, place), item, place)

    def _unpack(self, node: fx.Node, index: int, item: Any, place: Place) -> fx.Node:
        return self.writer.call("unpack", operator.getitem, (node, index), {}, item, place)

    def _trail(self, tensor: torch.Tensor, node: fx.Node) -> None:
        with torch._C.DisableTorchFunction():
            if tensor.grad_fn is not None:
                self._by_grad_fn[tensor.grad_fn] = node

    # ---- what a tensor stands for

    def _depends(self, value: Any) -> bool:
        if not isinstance(value, torch.Tensor):
            return any(self._depends(t) for t in tensors(value))
        if id(value) in self._known.parameters or self.values.depends(value):
            return True
        return (self._fake and is_fake(value)) or self._is_stranger(value)

    def _is_stranger(self, tensor: torch.Tensor) -> bool:
        """Never seen, yet differentiable: it was made by something that does not dispatch (a scripted function)."""
        if self.values.find(tensor) is not None:
            return False
        with torch._C.DisableTorchFunction():
            return tensor.grad_fn is not None

    def _constant(self, tensor: torch.Tensor) -> fx.Node:
        """The node of a tensor that no recorded call has given."""
        key, place = id(tensor), self.place()
        if key in self._known.parameters:
            self.used.add(self._known.parameters[key])
            return self.writer.attribute("parameter", self._known.parameters[key], tensor, place)
        if key in self._known.buffers:
            return self.writer.attribute("buffer", self._known.buffers[key], tensor, place)
        with torch._C.DisableTorchFunction():
            if key in self._contents:
                return self.writer.constant(tensor, place, self._contents[key])
            if tensor.grad_fn is not None or (self._fake and is_fake(tensor)):
                return self.writer.call("opaque", targets.opaque, self._origins(tensor), {}, tensor, place)
        return self.writer.constant(tensor, place)

    def _origins(self, tensor: torch.Tensor) -> tuple[fx.Node, ...]:
        """The nearest recorded ancestors of a stranger, by its autograd graph."""
        found: dict[fx.Node, None] = {}
        seen: set[Any] = set()
        pending = [tensor.grad_fn]
        while pending:
            function = pending.pop()
            if function is None or function in seen:
                continue
            seen.add(function)
            if function in self._by_grad_fn:
                found[self._by_grad_fn[function]] = None
            elif hasattr(function, "variable"):
                found[self.values.read(function.variable)] = None
            else:
                pending.extend(f for f, _ in function.next_functions)
        return tuple(found)

    def _update(self, stale: fx.Node, writer: fx.Node, tensor: torch.Tensor) -> fx.Node:
        return self.writer.call(
            "alias_update", targets.alias_update, (stale, writer), {}, tensor, self.place(), inplace=True
        )

    # ---- special calls

    def _like(self, op: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result, content = made_like(op, func, args, kwargs)
        self._born(result, list(tensors(args)))
        self.values.bind(result, None)
        if content is not None:
            self._contents[id(result)] = content
        return result

    def _guess(self, read: str, tensor: torch.Tensor) -> Any:
        entry = self.values.find(tensor)
        producer = self.writer.nodes[entry.node.name].op if entry is not None and entry.node is not None else ""
        answer = usual_answer(read, tensor, producer)
        frames = user_frames(self._bottom)
        self.guesses.append(Guess(read.strip("_"), repr(answer)[:80], frames[0] if frames else None))
        depth = len(self._stack)
        self._guessed_depth = depth if self._guessed_depth is None else min(depth, self._guessed_depth)
        return answer

    def custom_function(self, cls: Any, apply: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Around `autograd.Function.apply`: one node, or of several tensors that learn what happens inside.

        Its backward is then taken for the derivative. Re-entrant checkpoints are run through, hooks are no operator.
        """
        if runs_through(cls):
            return args[0](*args[2:])
        if hands_through(cls):
            nodes = [self.values.read(tensor) if self._depends(tensor) else None for tensor in args]
            handed = apply(*args)
            for tensor, node in zip(handed, nodes, strict=True):
                self.values.bind(tensor, node)
            return handed
        with torch._C.DisableTorchFunction():
            read = list(tensors(args))
            dependent = [t for t in read if self._depends(t)]
        first, several = len(self.writer.nodes), sum(t.is_floating_point() for t in dependent) > 1
        with self.writer.following() if several else torch._C.DisableTorchFunction():
            result = apply(*args)
        with torch._C.DisableTorchFunction():
            if dependent and self._is_new(result, read) and not (several and self._is_followed(result, first)):
                self._born(result, read)
                self._note("custom_function", targets.CustomFunction(cls), (args, {}), result)
        return result

    def _is_followed(self, result: Any, first: int) -> bool:
        """Whether the operators from the `first` on give the result, and none is a step (a rounding)."""
        made = self.writer.since(first)
        given = [self.values.find(tensor) for tensor in tensors(result)]
        known = all(entry is not None and entry.node is not None and entry.node.name in made for entry in given)
        return known and not any(op.op in names.STEPS for op in made.values())
