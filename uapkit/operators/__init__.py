"""Linear maps by their products: ``.shape``, ``.matvec(v)``, ``.rmatvec(w)``, ``.matmat(V)``."""

from uapkit.operators.base import Operator
from uapkit.operators.dense import DenseOperator
from uapkit.operators.hessian import HessianOperator
from uapkit.operators.jacobian import JacobianOperator, LayerJacobians

__all__ = ["DenseOperator", "HessianOperator", "JacobianOperator", "LayerJacobians", "Operator"]
