# NeoBERT in plain PyTorch, written from the paper (arXiv 2502.19587) and the published checkpoint's names, as an oracle:
# batches are padded or packed rows, what may see what is a boolean mask, nothing is fused. With `rope`, `rms_norm` and
# `hidden_act` of a config it is the paper's ablations too.
import json
import math
from pathlib import Path
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn


def rotate(x, positions):
    """Rotary positions on x [B, T, H, D]: components 2j and 2j + 1 turn by position * 10000^(-2j / D)."""
    D = x.shape[-1]
    angles = positions[..., None] * 10000.0 ** (-torch.arange(0, D, 2).float() / D)  # [B, T, D / 2]
    cos, sin = angles.cos()[:, :, None], angles.sin()[:, :, None]
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class Block(nn.Module):
    def __init__(self, config, norm):
        super().__init__()
        C, self.heads, self.rope = config["hidden_size"], config["num_attention_heads"], config.get("rope", True)
        self.attention_norm, self.ffn_norm = norm(), norm()
        self.qkv, self.wo = nn.Linear(C, 3 * C, bias=False), nn.Linear(C, C, bias=False)
        I = config["intermediate_size"]
        if config.get("hidden_act", "swiglu").lower() == "swiglu":
            I = 8 * math.ceil(int(2 * I / 3) / 8)
            self.ffn = nn.ModuleDict({"w12": nn.Linear(C, 2 * I, bias=False), "w3": nn.Linear(I, C, bias=False)})
        else:
            self.ffn = nn.Sequential(nn.Linear(C, I, bias=False), nn.GELU(), nn.Linear(I, C, bias=False))

    def forward(self, x, positions, visible):
        B, T, C = x.shape
        q, k, v = self.qkv(self.attention_norm(x)).view(B, T, self.heads, -1).chunk(3, -1)  # [B, T, H, D] each
        if self.rope:
            q, k = rotate(q, positions), rotate(k, positions)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        mask = None if visible is None else visible[:, None]
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.wo(attended.transpose(1, 2).reshape(B, T, C))
        h = self.ffn_norm(x)
        if isinstance(self.ffn, nn.Sequential):
            return x + self.ffn(h)
        gate, value = self.ffn["w12"](h).chunk(2, -1)
        return x + self.ffn["w3"](F.silu(gate) * value)


class NeoBERT(nn.Module):
    def __init__(self, config):
        super().__init__()
        C, V = config["hidden_size"], config["vocab_size"]
        kind = nn.RMSNorm if config.get("rms_norm", True) else nn.LayerNorm
        norm = lambda: kind(C, eps=config["norm_eps"])
        self.encoder = nn.Embedding(V, C)
        if not config.get("rope", True):
            self.positional_embedding = nn.Embedding(config["max_length"] + 1, C)
        self.transformer_encoder = nn.ModuleList(Block(config, norm) for _ in range(config["num_hidden_layers"]))
        self.layer_norm = norm()

    def forward(self, ids, positions, visible):
        """Hidden states [B, T, C] of ids [B, T]; row i of visible [B, T, T] says which tokens token i attends
        to, None that it is all of them."""
        x = self.encoder(ids)
        if hasattr(self, "positional_embedding"):
            x = x + self.positional_embedding(positions + 1)  # row 0 belongs to padding
        for block in self.transformer_encoder:
            x = block(x, positions, visible)
        return self.layer_norm(x)


class NeoBERTLMHead(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.model = NeoBERT(config)
        self.decoder = nn.Linear(config["hidden_size"], config["vocab_size"])


def load(folder):
    """The model of a Hugging Face folder; every tensor of the file must have its place."""
    model = NeoBERTLMHead(json.loads((Path(folder) / "config.json").read_text()))
    model.load_state_dict(load_file(Path(folder) / "model.safetensors"), strict=True)
    return model


def packed(ids, cu_seqlens):
    """The arguments of `NeoBERT` for sequences one after another in a single row: ids [N], borders [B + 1]."""
    lengths = cu_seqlens.long().diff()
    sequence = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    positions = torch.cat([torch.arange(length) for length in lengths])
    return ids.long()[None], positions[None], (sequence[:, None] == sequence)[None]


def padded(ids, cu_seqlens):
    """The same for one sequence a row, padded on the right with id 0."""
    rows = nn.utils.rnn.pad_sequence(ids.long().split(cu_seqlens.long().diff().tolist()), batch_first=True)
    B, T = rows.shape
    real = torch.arange(T) < cu_seqlens.long().diff()[:, None]
    return rows, torch.arange(T).expand(B, T), real[:, None].expand(B, T, T)
