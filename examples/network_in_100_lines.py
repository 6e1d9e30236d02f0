"""A neural network in 100 lines of NumPy
======================================

Dense layers, SiLU, backpropagation and Adam. The script classifies irises (softmax output) and predicts the progression
of diabetes (linear output). With one member, ScratchMLPClassifier and ScratchMLPRegressor take the same steps.
Shapes: B rows in a batch; n inputs and m outputs of a layer; K outputs of the network.
"""

import numpy as np
from sklearn.datasets import load_diabetes, load_iris


def sigmoid(z):
    """Logistic function."""
    return 0.5 * (1 + np.tanh(z / 2))  # = 1 / (1 + exp(-z)), which overflows for large negative z


def silu(z):
    """SiLU, also called swish: z sigmoid(z)."""
    return z * sigmoid(z)


def silu_derivative(z):
    """Derivative of SiLU."""
    s = sigmoid(z)
    return s + z * s * (1 - s)


def squared_error(z, y):
    """Mean over the batch of ½ ‖z - y‖², and its gradient with respect to the outputs z, both (B, K)."""
    return 0.5 * np.sum((z - y) ** 2) / len(z), (z - y) / len(z)


def softmax_log_loss(z, y):
    """Mean log loss of p = softmax(z) for one-hot y (B, K), and its gradient with respect to the scores z (B, K)."""
    z = z - z.max(axis=1, keepdims=True)  # leaves p unchanged; exp no longer overflows
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return -np.sum(y * log_p) / len(z), (np.exp(log_p) - y) / len(z)


class Network:
    """Dense layers of the given widths (inputs, hidden layers, outputs), with SiLU between them."""

    def __init__(self, sizes, rng):
        shapes = list(zip(sizes[:-1], sizes[1:], strict=True))
        self.W = [rng.normal(0, np.sqrt(2 / n), size=(n, m)) for n, m in shapes]  # (n, m)
        self.b = [np.zeros(m) for _, m in shapes]  # (m,)

    def forward(self, x):
        """Return the outputs (B, K); keep what the backward pass needs."""
        self.x, self.z = [x], []  # the input and the weighted sums of each layer
        for W, b in zip(self.W, self.b, strict=True):
            self.z.append(self.x[-1] @ W + b)  # z = x W + b, (B, n) (n, m) + (m,)
            self.x.append(silu(self.z[-1]))  # (B, m)
        return self.z[-1]  # the output layer has no activation

    def backward(self, dz):
        """Return the gradients of the loss with respect to all W and b, given that of the outputs, dz (B, K)."""
        dW, db = [], []
        for layer in reversed(range(len(self.W))):
            dW.insert(0, self.x[layer].T @ dz)  # dL/dW = xᵀ dz, (n, B) (B, m)
            db.insert(0, dz.sum(axis=0))  # dL/db = sum of dz over the rows, (m,)
            if layer > 0:
                dx = dz @ self.W[layer].T  # dL/dx = dz Wᵀ, (B, m) (m, n)
                dz = dx * silu_derivative(self.z[layer - 1])  # x = silu(z), elementwise
        return dW + db


class Adam:
    """Adam (Kingma and Ba, 2015), which updates arrays in place."""

    def __init__(self, parameters, learning_rate=0.01, beta_1=0.9, beta_2=0.95, epsilon=1e-8):
        self.parameters, self.learning_rate = parameters, learning_rate
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.m = [np.zeros_like(p) for p in parameters]  # moving average of g
        self.v = [np.zeros_like(p) for p in parameters]  # moving average of g²
        self.t = 0

    def step(self, gradients):
        """Update the parameters once, from the gradients of one batch."""
        self.t += 1
        correction = np.sqrt(1 - self.beta_2**self.t) / (1 - self.beta_1**self.t)
        for p, g, m, v in zip(self.parameters, gradients, self.m, self.v, strict=True):
            m += (1 - self.beta_1) * (g - m)
            v += (1 - self.beta_2) * (g**2 - v)
            p -= self.learning_rate * correction * m / (np.sqrt(v) + self.epsilon)


def train(network, loss, optimizer, X, Y, epochs, batch_size, rng=None):
    """Return the mean loss of each epoch. With `rng`, shuffle the rows before each epoch."""
    curve = []
    for _ in range(epochs):
        order = np.arange(len(X)) if rng is None else rng.permutation(len(X))
        total = 0.0
        for start in range(0, len(X), batch_size):
            rows = order[start : start + batch_size]
            value, dz = loss(network.forward(X[rows]), Y[rows])
            optimizer.step(network.backward(dz))
            total += value * len(rows)
        curve.append(total / len(X))
    return curve


def main():
    """Train on both tables; a quarter of the rows is held out."""
    for load, loss in [(load_iris, softmax_log_loss), (load_diabetes, squared_error)]:
        rng = np.random.default_rng(0)
        X, y = load(return_X_y=True)
        held_out, rest = np.split(rng.permutation(len(X)), [len(X) // 4])
        X = (X - X[rest].mean(axis=0)) / X[rest].std(axis=0)
        Y = np.eye(3)[y] if loss is softmax_log_loss else (y[:, None] - y[rest].mean()) / y[rest].std()
        network = Network([X.shape[1], 32, Y.shape[1]], rng)
        optimizer = Adam(network.W + network.b, learning_rate=0.003)
        curve = train(network, loss, optimizer, X[rest], Y[rest], epochs=30, batch_size=16, rng=rng)
        value, _ = loss(network.forward(X[held_out]), Y[held_out])
        print(f"{loss.__name__}: training {curve[0]:.3f} -> {curve[-1]:.3f}, held-out rows {value:.3f}")


if __name__ == "__main__":
    main()
