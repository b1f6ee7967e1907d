"""Forwards and constructors in the manner of public repositories: each is built, fed and followed without a word of
configuration, and every parameter gets a gradient."""

from pathlib import Path

import pytest

from gradlint.discovery import find_targets, scan_file
from gradlint.worker.analysis import Examined, examine

HEAD = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n"

# ruff: noqa: E501 (the lines are those of such files)
FILES: dict[str, str] = {}
"""Source by name."""
FILES["dict_in"] = """
class Net(nn.Module):
    def __init__(self, vocab_size=100, dim=64):
        super().__init__()
        self.emb = nn.Embedding(vocab_size, dim); self.fc = nn.Linear(dim, 5)
    def forward(self, batch):
        x = self.emb(batch["input_ids"])
        x = x * batch["attention_mask"].unsqueeze(-1)
        return self.fc(x.mean(1))
"""
FILES["tuple_in"] = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(16, 32); self.b = nn.Linear(8, 32); self.o = nn.Linear(32, 1)
    def forward(self, inputs):
        x, z = inputs
        return self.o(torch.relu(self.a(x) + self.b(z)))
"""
FILES["list_in"] = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lat = nn.ModuleList([nn.Conv2d(c, 64, 1) for c in (32, 64, 128)]); self.o = nn.Conv2d(64, 1, 1)
    def forward(self, features):
        y = 0
        for f, l in zip(features, self.lat):
            y = y + F.interpolate(l(f), size=(16, 16))
        return self.o(y)
"""
FILES["walked_in"] = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.style = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 32)); self.o = nn.Linear(32, 3)
    def forward(self, styles):
        styles = [self.style(s) for s in styles]
        if len(styles) < 2:
            latent = styles[0].unsqueeze(1).repeat(1, 4, 1)
        else:
            latent = torch.stack(styles, 1)
        return self.o(latent[:, 0])
"""
FILES["adj_in"] = """
class GCN(nn.Module):
    def __init__(self, nfeat=16, nhid=64, nclass=4):
        super().__init__()
        self.w1 = nn.Linear(nfeat, nhid); self.w2 = nn.Linear(nhid, nclass)
    def forward(self, x, adj):
        x = F.relu(torch.mm(adj, self.w1(x)))
        return F.log_softmax(torch.mm(adj, self.w2(x)), dim=1)
"""
FILES["packed"] = """
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
class Net(nn.Module):
    def __init__(self, vocab=100, dim=32, hidden=64):
        super().__init__()
        self.emb = nn.Embedding(vocab, dim); self.rnn = nn.LSTM(dim, hidden, batch_first=True); self.fc = nn.Linear(hidden, 2)
    def forward(self, text, text_lengths):
        packed = pack_padded_sequence(self.emb(text), text_lengths.cpu(), batch_first=True, enforce_sorted=False)
        out, (h, c) = self.rnn(packed)
        out, _ = pad_packed_sequence(out, batch_first=True)
        return self.fc(h[-1])
"""
FILES["kwonly"] = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(32, 8)
    def forward(self, *, pixel_values, labels=None):
        out = self.fc(pixel_values)
        if labels is not None:
            return F.cross_entropy(out, labels)
        return out
"""
FILES["diffusion"] = """
import math
class Net(nn.Module):
    def __init__(self, dim=64):
        super().__init__()
        self.t = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, dim)); self.c1 = nn.Conv2d(3, dim, 3, padding=1); self.c2 = nn.Conv2d(dim, 3, 3, padding=1); self.dim = dim
    def forward(self, x, t):
        half = self.dim // 2
        f = torch.exp(-math.log(10000) * torch.arange(half, device=x.device) / half)
        e = t[:, None].float() * f[None]
        e = self.t(torch.cat([e.sin(), e.cos()], -1))
        h = F.silu(self.c1(x)) + e[:, :, None, None]
        return self.c2(h)
"""
FILES["seq2seq"] = """
class Net(nn.Module):
    def __init__(self, src_vocab_size, tgt_vocab_size, d_model=128, nhead=8, num_layers=2):
        super().__init__()
        self.se = nn.Embedding(src_vocab_size, d_model); self.te = nn.Embedding(tgt_vocab_size, d_model)
        self.tr = nn.Transformer(d_model, nhead, num_layers, num_layers, batch_first=True); self.out = nn.Linear(d_model, tgt_vocab_size)
    def forward(self, src, tgt, src_mask=None, tgt_mask=None):
        return self.out(self.tr(self.se(src), self.te(tgt), src_mask=src_mask, tgt_mask=tgt_mask))
"""
FILES["two_towers"] = """
class Net(nn.Module):
    def __init__(self, n_users, n_items, n_factors=32):
        super().__init__()
        self.u = nn.Embedding(n_users, n_factors); self.i = nn.Embedding(n_items, n_factors); self.fc = nn.Linear(2*n_factors, 1)
    def forward(self, user, item):
        return self.fc(torch.cat([self.u(user), self.i(item)], dim=-1)).squeeze(-1)
"""
FILES["dlrm"] = """
class Net(nn.Module):
    def __init__(self, field_dims, embed_dim, mlp_dims, dropout):
        super().__init__()
        self.emb = nn.Embedding(sum(field_dims), embed_dim)
        layers = []; d = len(field_dims) * embed_dim
        for m in mlp_dims:
            layers += [nn.Linear(d, m), nn.ReLU(), nn.Dropout(dropout)]; d = m
        self.mlp = nn.Sequential(*layers, nn.Linear(d, 1)); self.n = len(field_dims); self.d = embed_dim
    def forward(self, x):
        return torch.sigmoid(self.mlp(self.emb(x).view(-1, self.n * self.d)).squeeze(1))
"""
FILES["dict_out"] = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.b = nn.Conv2d(3, 16, 3, padding=1); self.c = nn.Conv2d(16, 4, 1); self.r = nn.Conv2d(16, 2, 1)
    def forward(self, images):
        h = F.relu(self.b(images))
        return {"cls": self.c(h), "box": self.r(h), "loss": None}
"""
FILES["dataclass_out"] = """
from dataclasses import dataclass
from typing import Optional
@dataclass
class Out:
    logits: torch.Tensor
    hidden: Optional[torch.Tensor] = None
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = nn.Linear(20, 20); self.g = nn.Linear(20, 3)
    def forward(self, x):
        h = torch.tanh(self.f(x))
        return Out(self.g(h), h)
"""
FILES["nomain_loss_out"] = """
class Net(nn.Module):
    def __init__(self, vocab_size=64, n_embd=32, block_size=16):
        super().__init__()
        self.e = nn.Embedding(vocab_size, n_embd); self.p = nn.Embedding(block_size, n_embd); self.h = nn.Linear(n_embd, vocab_size); self.block_size = block_size
    def forward(self, idx, targets=None):
        B, T = idx.shape
        x = self.e(idx) + self.p(torch.arange(T, device=idx.device))
        logits = self.h(x); loss = None
        if targets is not None:
            loss = F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1))
        return logits, loss
"""
FILES["vae"] = """
class VAE(nn.Module):
    def __init__(self, input_dim=784, hidden_dim=256, latent_dim=20):
        super().__init__()
        self.e = nn.Linear(input_dim, hidden_dim); self.mu = nn.Linear(hidden_dim, latent_dim); self.lv = nn.Linear(hidden_dim, latent_dim)
        self.d1 = nn.Linear(latent_dim, hidden_dim); self.d2 = nn.Linear(hidden_dim, input_dim)
    def encode(self, x):
        h = F.relu(self.e(x)); return self.mu(h), self.lv(h)
    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5*logvar); return mu + torch.randn_like(std)*std
    def decode(self, z):
        return torch.sigmoid(self.d2(F.relu(self.d1(z))))
    def forward(self, x):
        mu, lv = self.encode(x.view(-1, 784)); return self.decode(self.reparameterize(mu, lv)), mu, lv
"""
FILES["gan"] = """
nz=100; ngf=64; nc=3
class Generator(nn.Module):
    def __init__(self, ngpu):
        super().__init__()
        self.ngpu = ngpu
        self.main = nn.Sequential(nn.ConvTranspose2d(nz, ngf*4, 4, 1, 0, bias=False), nn.BatchNorm2d(ngf*4), nn.ReLU(True),
            nn.ConvTranspose2d(ngf*4, ngf*2, 4, 2, 1, bias=False), nn.BatchNorm2d(ngf*2), nn.ReLU(True), nn.ConvTranspose2d(ngf*2, nc, 4, 2, 1), nn.Tanh())
    def forward(self, input):
        return self.main(input)
class Discriminator(nn.Module):
    def __init__(self, ngpu):
        super().__init__()
        self.main = nn.Sequential(nn.Conv2d(nc, 64, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True), nn.Conv2d(64, 128, 4, 2, 1), nn.BatchNorm2d(128), nn.LeakyReLU(0.2), nn.Conv2d(128, 1, 4, 1, 0))
    def forward(self, input):
        return self.main(input)
"""
FILES["nerf"] = """
class NeRF(nn.Module):
    def __init__(self, D=8, W=256, input_ch=63, input_ch_views=27, skips=[4]):
        super().__init__()
        self.ch, self.chv, self.skips = input_ch, input_ch_views, skips
        self.pts = nn.ModuleList([nn.Linear(input_ch, W)] + [nn.Linear(W, W) if i not in skips else nn.Linear(W + input_ch, W) for i in range(D-1)])
        self.view = nn.Linear(input_ch_views + W, W//2); self.alpha = nn.Linear(W, 1); self.rgb = nn.Linear(W//2, 3); self.feat = nn.Linear(W, W)
    def forward(self, x):
        p, v = torch.split(x, [self.ch, self.chv], dim=-1); h = p
        for i, l in enumerate(self.pts):
            h = F.relu(l(h))
            if i in self.skips: h = torch.cat([p, h], -1)
        a = self.alpha(h); h = F.relu(self.view(torch.cat([self.feat(h), v], -1)))
        return torch.cat([self.rgb(h), a], -1)
"""
FILES["pointnet"] = """
class PointNet(nn.Module):
    def __init__(self, k=40):
        super().__init__()
        self.c1 = nn.Conv1d(3, 64, 1); self.c2 = nn.Conv1d(64, 256, 1); self.b1 = nn.BatchNorm1d(64); self.b2 = nn.BatchNorm1d(256); self.f = nn.Linear(256, k)
    def forward(self, xyz):
        x = F.relu(self.b1(self.c1(xyz))); x = F.relu(self.b2(self.c2(x)))
        x = torch.max(x, 2, keepdim=True)[0].view(-1, 256)
        return F.log_softmax(self.f(x), -1)
"""
FILES["siamese"] = """
class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        self.cnn = nn.Sequential(nn.Conv2d(1, 64, 10), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(64, 128, 7), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(128, 128, 4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(128, 256, 4), nn.ReLU())
        self.l = nn.Linear(9216, 4096); self.o = nn.Linear(4096, 1)
    def sub(self, x):
        return torch.sigmoid(self.l(self.cnn(x).view(x.size(0), -1)))
    def forward(self, x1, x2):
        return self.o(torch.abs(self.sub(x1) - self.sub(x2)))
"""
FILES["unet"] = """
class DoubleConv(nn.Module):
    def __init__(self, in_ch, out_ch):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(in_ch, out_ch, 3, padding=1), nn.BatchNorm2d(out_ch), nn.ReLU(inplace=True), nn.Conv2d(out_ch, out_ch, 3, padding=1), nn.BatchNorm2d(out_ch), nn.ReLU(inplace=True))
    def forward(self, x): return self.conv(x)
class UNet(nn.Module):
    def __init__(self, n_channels, n_classes, bilinear=False):
        super().__init__()
        self.d1 = DoubleConv(n_channels, 32); self.d2 = DoubleConv(32, 64); self.p = nn.MaxPool2d(2); self.u = nn.ConvTranspose2d(64, 32, 2, 2); self.c = DoubleConv(64, 32); self.o = nn.Conv2d(32, n_classes, 1)
    def forward(self, x):
        a = self.d1(x); b = self.d2(self.p(a)); return self.o(self.c(torch.cat([a, self.u(b)], 1)))
"""
FILES["args_ns"] = """
class Model(nn.Module):
    def __init__(self, configs):
        super().__init__()
        self.seq_len = configs.seq_len; self.pred_len = configs.pred_len
        self.embed = nn.Linear(configs.enc_in, configs.d_model)
        self.enc = nn.TransformerEncoder(nn.TransformerEncoderLayer(configs.d_model, configs.n_heads, configs.d_ff, dropout=configs.dropout, batch_first=True), configs.e_layers)
        self.proj = nn.Linear(configs.d_model, configs.c_out); self.out = nn.Linear(configs.seq_len, configs.pred_len)
    def forward(self, x_enc, x_mark_enc, x_dec, x_mark_dec, mask=None):
        h = self.proj(self.enc(self.embed(x_enc)))
        return self.out(h.transpose(1, 2)).transpose(1, 2)
"""
FILES["opt_argparse"] = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument('--hidden', type=int, default=48)
parser.add_argument('--data', required=True)
opt = parser.parse_args()
class Net(nn.Module):
    def __init__(self, opt):
        super().__init__()
        self.a = nn.Linear(10, opt.hidden); self.b = nn.Linear(opt.hidden, 2)
    def forward(self, x): return self.b(torch.relu(self.a(x)))
net = Net(opt).cuda()
for epoch in range(1000000):
    net(torch.randn(4, 10).cuda())
"""
FILES["missing_pkgs"] = """
import wandb, hydra
from omegaconf import DictConfig
from mmcv.cnn import ConvModule
from tqdm import tqdm
wandb.init(project="x")
class Net(nn.Module):
    def __init__(self, cfg: DictConfig):
        super().__init__()
        self.a = nn.Linear(cfg.input_dim, cfg.hidden_dim); self.b = nn.Linear(cfg.hidden_dim, cfg.num_classes)
    def forward(self, x): return self.b(torch.relu(self.a(x)))
@hydra.main(config_path="conf", config_name="c")
def main(cfg):
    Net(cfg)
"""
FILES["einops_mlpmixer"] = """
class MlpBlock(nn.Module):
    def __init__(self, dim, mlp_dim):
        super().__init__(); self.n = nn.Sequential(nn.Linear(dim, mlp_dim), nn.GELU(), nn.Linear(mlp_dim, dim))
    def forward(self, x): return self.n(x)
class MixerBlock(nn.Module):
    def __init__(self, num_patches, hidden_dim, tokens_mlp_dim, channels_mlp_dim):
        super().__init__(); self.n1 = nn.LayerNorm(hidden_dim); self.n2 = nn.LayerNorm(hidden_dim); self.t = MlpBlock(num_patches, tokens_mlp_dim); self.c = MlpBlock(hidden_dim, channels_mlp_dim)
    def forward(self, x):
        x = x + self.t(self.n1(x).transpose(1, 2)).transpose(1, 2); return x + self.c(self.n2(x))
class MlpMixer(nn.Module):
    def __init__(self, num_classes, num_blocks, patch_size, hidden_dim, tokens_mlp_dim, channels_mlp_dim, image_size=224):
        super().__init__()
        n = (image_size // patch_size) ** 2
        self.stem = nn.Conv2d(3, hidden_dim, patch_size, patch_size); self.b = nn.Sequential(*[MixerBlock(n, hidden_dim, tokens_mlp_dim, channels_mlp_dim) for _ in range(num_blocks)]); self.h = nn.Linear(hidden_dim, num_classes)
    def forward(self, x): return self.h(self.b(self.stem(x).flatten(2).transpose(1, 2)).mean(1))
"""
FILES["custom_attention"] = """
class MultiHeadAttention(nn.Module):
    def __init__(self, heads, d_model, dropout=0.1):
        super().__init__()
        self.h = heads; self.dk = d_model // heads
        self.q = nn.Linear(d_model, d_model); self.k = nn.Linear(d_model, d_model); self.v = nn.Linear(d_model, d_model); self.o = nn.Linear(d_model, d_model)
    def forward(self, q, k, v, mask=None):
        b = q.size(0)
        q, k, v = (f(z).view(b, -1, self.h, self.dk).transpose(1, 2) for f, z in ((self.q, q), (self.k, k), (self.v, v)))
        s = q @ k.transpose(-2, -1) / self.dk ** .5
        if mask is not None: s = s.masked_fill(mask.unsqueeze(1) == 0, -1e9)
        return self.o((s.softmax(-1) @ v).transpose(1, 2).reshape(b, -1, self.h * self.dk))
"""
FILES["stateful_init"] = """
class LSTMTagger(nn.Module):
    def __init__(self, embedding_dim, hidden_dim, vocab_size, tagset_size, batch_size):
        super().__init__()
        self.hidden_dim, self.batch_size = hidden_dim, batch_size
        self.e = nn.Embedding(vocab_size, embedding_dim); self.l = nn.LSTM(embedding_dim, hidden_dim); self.t = nn.Linear(hidden_dim, tagset_size)
        self.hidden = self.init_hidden()
    def init_hidden(self):
        return (torch.zeros(1, self.batch_size, self.hidden_dim), torch.zeros(1, self.batch_size, self.hidden_dim))
    def forward(self, sentence):
        o, self.hidden = self.l(self.e(sentence).view(len(sentence), self.batch_size, -1), self.hidden)
        return F.log_softmax(self.t(o), dim=-1)
"""
FILES["ddp_main"] = """
import os
import torch.distributed as dist
def setup(rank, world): dist.init_process_group("nccl", rank=rank, world_size=world)
class ToyModel(nn.Module):
    def __init__(self, dev0, dev1):
        super().__init__()
        self.net1 = nn.Linear(10, 10).to(dev0); self.net2 = nn.Linear(10, 5).to(dev1); self.dev0, self.dev1 = dev0, dev1
    def forward(self, x):
        return self.net2(torch.relu(self.net1(x.to(self.dev0))).to(self.dev1))
def demo(rank, world):
    setup(rank, world); mp_model = ToyModel(rank*2, rank*2+1)
"""
FILES["skip_gram"] = """
class SkipGram(nn.Module):
    def __init__(self, emb_size, emb_dimension):
        super().__init__()
        self.u = nn.Embedding(emb_size, emb_dimension); self.v = nn.Embedding(emb_size, emb_dimension)
    def forward(self, pos_u, pos_v, neg_v):
        u, v, n = self.u(pos_u), self.v(pos_v), self.v(neg_v)
        return (u * v).sum(1) + torch.bmm(n, u.unsqueeze(2)).squeeze(2).sum(1)
"""


def examined(folder: Path, source: str) -> Examined:
    """The last model of a file, through the whole pipeline but the rules."""
    path = folder / "model.py"
    path.write_text(source)
    target = find_targets(scan_file(str(path), source))[-1]
    return examine(target, source, on_stage=lambda name: None)


@pytest.mark.parametrize("body", FILES.values(), ids=FILES.keys())
def test_a_file_nobody_prepared(body: str, tmp_path: Path) -> None:
    result = examined(tmp_path, HEAD + body)
    assert result.fed is not None
    assert not result.flow.unknown
    figures = result.flow.parameters()
    assert result.graph.reachable
    if "Siamese" in body:  # the difference of two encoders that share their weights: docs/known-deviations.md
        return
    silent = [name for name in result.graph.reachable if not figures[name].gradient_rms]
    assert all(name.endswith("bias") for name in silent), silent


STRUCTURED = {
    "dict_in": "{input_ids: (8, 32) int64, attention_mask: (8, 32) int64}",
    "tuple_in": "[(8, 16) float32, (8, 8) float32]",
    "list_in": "[(8, 32, 32, 32) float32, (8, 64, 32, 32) float32, (8, 128, 32, 32) float32]",
    "siamese": "(8, 1, 112, 112) float32, (8, 1, 112, 112) float32",
    "packed": "(8, 32) int64, (8,) int64",
}


@pytest.mark.parametrize("name", STRUCTURED)
def test_what_a_structured_argument_is_given(name: str, tmp_path: Path) -> None:
    result = examined(tmp_path, HEAD + FILES[name])
    assert result.fed is not None and result.fed.described == STRUCTURED[name]


CHARACTERS = """
class RNN(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super().__init__()
        self.hidden_size = hidden_size
        self.i2h = nn.Linear(input_size + hidden_size, hidden_size)
        self.i2o = nn.Linear(input_size + hidden_size, output_size)

    def forward(self, input, hidden):
        both = torch.cat((input, hidden), 1)
        return F.log_softmax(self.i2o(both), dim=1), torch.tanh(self.i2h(both))

    def initHidden(self):
        return torch.zeros(1, self.hidden_size)
"""


def test_an_input_and_a_state_that_are_joined_have_each_their_width(tmp_path: Path) -> None:
    result = examined(tmp_path, HEAD + CHARACTERS)
    assert result.fed is not None
    assert result.fed.described == "(8, 64) float32, (8, 256) float32"


GRAPH = """
class GCN(nn.Module):
    def __init__(self, in_dim=16, hidden=64):
        super().__init__()
        self.first, self.last = nn.Linear(in_dim, hidden), nn.Linear(hidden, 4)

    def forward(self, data):
        x, (source, target) = self.first(data.x), data.edge_index
        return self.last(F.relu(x[source] + x[target]))
"""


def test_the_parts_of_a_graph_fit_one_another(tmp_path: Path) -> None:
    result = examined(tmp_path, HEAD + GRAPH)
    assert result.fed is not None
    (graph,) = result.fed.args
    assert graph.x.shape == (32, 16)
    assert graph.edge_index.shape == (2, 128)
    assert int(graph.edge_index.max()) < 32


CONV_LSTM = """
class Cell(nn.Module):
    def __init__(self, input_dim, hidden_dim, kernel_size):
        super().__init__()
        self.hidden_dim = hidden_dim
        self.conv = nn.Conv2d(input_dim + self.hidden_dim, 4 * self.hidden_dim, kernel_size=kernel_size, padding=1)
    def forward(self, x, state):
        h, c = state
        i, f, o, g = torch.split(self.conv(torch.cat([x, h], dim=1)), self.hidden_dim, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c
class ConvLSTM(nn.Module):
    def __init__(self, input_dim, hidden_dim, kernel_size, num_layers):
        super().__init__()
        if not isinstance(kernel_size, tuple): raise ValueError('`kernel_size` must be tuple')
        if not isinstance(hidden_dim, list): hidden_dim = [hidden_dim] * num_layers
        self.cells = nn.ModuleList(Cell(input_dim if i == 0 else hidden_dim[i - 1], hidden_dim[i], kernel_size) for i in range(num_layers))
    def forward(self, x):
        x = x.permute(1, 0, 2, 3, 4)
        for cell in self.cells:
            h = c = x.new_zeros(x.shape[0], cell.hidden_dim, *x.shape[3:]); seen = []
            for t in range(x.shape[1]):
                h, c = cell(x[:, t], (h, c)); seen.append(h)
            x = torch.stack(seen, dim=1)
        return x
"""


def test_a_guess_is_mended_and_a_film_fed(tmp_path: Path) -> None:
    result = examined(tmp_path, HEAD + CONV_LSTM)
    assert result.built.built == "guessed: input_dim=64, hidden_dim=32, kernel_size=(3, 3), num_layers=4"
    assert result.fed is not None
    assert result.fed.described == "(8, 8, 64, 32, 32) float32"
