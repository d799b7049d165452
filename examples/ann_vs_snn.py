"""A spiking network beside its non-spiking twin: same layers, same start, same samples, same attacks.

python examples/ann_vs_snn.py
"""

import torch
from art.estimators.classification import PyTorchClassifier
from torch import nn

from art_snn import SNNClassifier, ann_twin, compare, data
from art_snn.coding import Direct
from art_snn.networks import mlp

digits = data.load("digits")
snn_net = mlp((1, 8, 8), 10, encoder=Direct(T=4), seed=0)
ann_net = ann_twin(snn_net)  # ReLU for spikes; nothing else differs
models = {}
for name, net, kind in (("ann", ann_net, PyTorchClassifier), ("snn", snn_net, SNNClassifier)):
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    clf = kind(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, optimizer=optimizer, clip_values=(0.0, 1.0))
    clf.fit(digits.x_train, digits.y_train, batch_size=64, nb_epochs=15)
    models[name] = clf

x, y, _ = digits.select(100, seed=0)
result = compare(models, x, y, eps=[0.05, 0.1], verbose=False)
print(result.table())
for line in result.verdict():
    print("*", line)
