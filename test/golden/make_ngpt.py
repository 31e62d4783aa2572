# Makes neobert/ngpt-own/: a small encoder as nGPT's own paper has it (Loshchilov et al. 2024, arXiv 2410.01131, section 2.6):
# random weights, hidden states, logits, loss, gradients, and three steps of AdamW with the weights normalised after each.
# Attention sees the whole text, not only what is before; names and layouts are those of neobert/ngpt, whose batches are read.
# Run in this folder, with torch 2.9.1 and safetensors.
import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent
SOURCE, OUT = HERE / "neobert/ngpt", HERE / "neobert/ngpt-own"
V, C, L, H, I = 131, 64, 3, 4, 96
D = C // H
SCALE = 1 / math.sqrt(C)
ALONG = {"wo.weight": 0, "mlp_c_proj.weight": 0}  # every other matrix has its unit rows along dimension 1


def fresh():
    torch.manual_seed(0)
    spread = lambda size, value: value * (1 + 0.3 * torch.randn(size))
    p = {"model.encoder.weight": torch.randn(V, C) * SCALE, "decoder.weight": torch.randn(V, C) * SCALE, "model.sz": spread(V, SCALE)}
    p["model.encoder.weight"][0] = 0
    for layer in range(L):
        name = f"model.transformer_encoder.{layer}."
        p[name + "qkv.weight"] = torch.randn(3 * C, C) * SCALE
        p[name + "wo.weight"] = torch.randn(C, C) * SCALE / math.sqrt(2 * L)
        p[name + "c_fc.weight"] = torch.randn(2 * I, C) * SCALE
        p[name + "mlp_c_proj.weight"] = torch.randn(C, I) * SCALE / math.sqrt(2 * L)
        p[name + "attn_alpha"], p[name + "mlp_alpha"] = spread(C, SCALE), spread(C, SCALE)
        p[name + "attn_alpha"][:3] *= -1
        p[name + "sqk"], p[name + "suv"] = spread(C, SCALE), spread(2 * I, 1.0)
    return {name: value.requires_grad_() for name, value in p.items()}


@torch.no_grad()
def normalize(p):
    for name, value in p.items():
        if value.dim() == 2:
            value.copy_(F.normalize(value, dim=next((dim for end, dim in ALONG.items() if name.endswith(end)), 1)))


def turn(x, S):  # pairs (2j, 2j + 1), as complex numbers
    angles = torch.outer(torch.arange(S).float(), 10000.0 ** (-torch.arange(0, D, 2).float() / D))
    turned = torch.view_as_complex(x.reshape(*x.shape[:-1], D // 2, 2)) * torch.polar(torch.ones_like(angles), angles)[:, None]
    return torch.view_as_real(turned).flatten(-2)


def hidden(p, ids, mask):
    B, S = ids.shape
    x = p["model.encoder.weight"][ids]
    seen = torch.where(mask.bool(), 0.0, -torch.inf)[:, None, None]
    for layer in range(L):
        name = f"model.transformer_encoder.{layer}."
        q, k, v = F.linear(x, p[name + "qkv.weight"]).view(B, S, H, 3 * D).chunk(3, -1)
        s_qk = (p[name + "sqk"] / SCALE).view(H, D)
        q, k = (s_qk * F.normalize(turn(part, S), dim=-1) for part in (q, k))
        scores = torch.einsum("bshd,bthd->bhst", q, k) * math.sqrt(D) + seen
        attended = torch.einsum("bhst,bthd->bshd", scores.softmax(-1), v).reshape(B, S, C)
        x = move(x, F.linear(attended, p[name + "wo.weight"]), p[name + "attn_alpha"])
        u, v = (F.linear(x, p[name + "c_fc.weight"]) * p[name + "suv"] * math.sqrt(C)).chunk(2, -1)
        x = move(x, F.linear(u * F.silu(v), p[name + "mlp_c_proj.weight"]), p[name + "mlp_alpha"])
    return x


def move(x, to, alpha):
    x, to = F.normalize(x, dim=-1), F.normalize(to, dim=-1)
    return F.normalize(x + (alpha * 0.05 / SCALE).abs() * (to - x), dim=-1)


def compute(p, batch):
    states = hidden(p, batch["input_ids"], batch["attention_mask"])
    logits = F.linear(states, p["decoder.weight"]) * (p["model.sz"] / SCALE)
    return states, logits, F.cross_entropy(logits.view(-1, V), batch["labels"].view(-1))


def norm_of(p):
    return torch.linalg.vector_norm(torch.stack([value.grad.norm() for value in p.values() if value.grad is not None]))


OUT.mkdir(exist_ok=True)
config = json.loads((SOURCE / "config.json").read_text())
(OUT / "config.json").write_text(json.dumps({**config, "ngpt": "ngpt"}, indent=1))
params = fresh()
normalize(params)
save_file({name: value.detach().clone() for name, value in params.items()}, OUT / "model.safetensors", {"format": "pt"})

inputs = ("input_ids", "attention_mask", "labels")
batch = {name: value for name, value in load_file(SOURCE / "expected.safetensors").items() if name in inputs}
states, logits, loss = compute(params, batch)
loss.backward()
here = batch["attention_mask"][..., None].float()
expected = {**batch, "last_hidden_state": states.detach() * here, "logits": logits.detach() * here, "loss": loss.detach()[None]}
expected |= {f"grad.{name}": value.grad.clone() for name, value in params.items()}
save_file({**expected, "grad_norm": norm_of(params)[None]}, OUT / "expected.safetensors")

optimizer = torch.optim.AdamW(params.values(), lr=6e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
losses, norms = [], []
for step in range(3):
    batch = load_file(SOURCE / f"step{step}.safetensors")
    optimizer.zero_grad()
    loss = compute(params, batch)[2]
    loss.backward()
    losses.append(loss.item())
    norms.append(torch.nn.utils.clip_grad_norm_(params.values(), 1.0).item())
    optimizer.step()
    normalize(params)
    save_file(batch, OUT / f"step{step}.safetensors")
weights = {name: value.detach().clone() for name, value in params.items()}
save_file(weights, OUT / "after3.safetensors", {"losses": json.dumps(losses), "norms": json.dumps(norms)})
