"""The bare transaction of one message: two compares, the message and the log's head."""

from __future__ import annotations

import itertools
import time
from typing import Any

import grpc
from aetcd.rpc import rpc_pb2, rpc_pb2_grpc

from benchmarks.broker.clients.work import BODY, Found, Programs, Work

_pb: Any = rpc_pb2
_HEAD, _LEADER = b"bench/head", b"bench/leader"


def _single(work: Work) -> Found:
    """One after the other, as a leader commits them, without anything else that a leader does."""
    with grpc.insecure_channel(work.target) as channel:
        kv = rpc_pb2_grpc.KVStub(channel)
        kv.Put(_pb.PutRequest(key=_LEADER, value=b"1"))
        head = kv.Put(_pb.PutRequest(key=_HEAD, value=b"0")).header.revision
        leader = kv.Range(_pb.RangeRequest(key=_LEADER)).kvs[0].create_revision
        took = []
        began = now = time.perf_counter()
        for number in itertools.count():
            request = _pb.TxnRequest()
            request.compare.add(key=_LEADER, target=_pb.Compare.CREATE, create_revision=leader)
            request.compare.add(key=_HEAD, target=_pb.Compare.MOD, mod_revision=head)
            for key, value in ((b"bench/c/%08d" % number, BODY), (_HEAD, b"%d" % number)):
                request.success.add().request_put.CopyFrom(_pb.PutRequest(key=key, value=value))
            answer = kv.Txn(request)
            assert answer.succeeded
            head = answer.header.revision
            before, now = now, time.perf_counter()
            took.append((now - before) * 1000)
            if now > began + work.seconds:
                break
        return Found(len(took), now - began, took)


PROGRAMS: Programs = {"etcd-single": _single}
