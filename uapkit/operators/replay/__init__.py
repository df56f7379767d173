"""The engine behind :class:`uapkit.operators.JacobianOperator`: a network's derivative recorded once and replayed.

links: one operation's derivative, push and pull; graphs: those that autograd walks; rules: which link an
operation gets; plan: their order and memory; record: from a network and images to a plan; general: any differentiable
function, by autograd. Nothing outside :mod:`uapkit.operators` imports from here.
"""
