"""Handing on never widens: whatever a chain of grants lets through, each link before it would have let through."""

from __future__ import annotations

import pytest

from agentid.errors import CredentialError
from agentid.identity import Authority
from agentid.identity.delegation import hand_on, link_claims, link_hash, link_shape
from agentid.identity.grant import Grant
from agentid.policy import Policy, Rules
from agentid.signing import PrivateKey
from tests import generated

NOW = 1_795_392_000
FREEDOM = ("deny", "ask", "allow")
KEYS = [PrivateKey.generate().public_key() for _ in range(5)]


def root(rng):
    """What an authority granted: a few permissions of each kind."""
    return Grant(
        token_id="root",
        trust_domain="acme.example",
        allow=tuple(generated.permission(rng) for _ in range(rng.randint(0, 3))),
        ask=tuple(generated.permission(rng) for _ in range(rng.randint(0, 2))),
        issued_at=NOW,
        expires_at=NOW + 3600,
        depth=0,
        max_depth=4,
        chain_ids=("root",),
        keys=(KEYS[0],),
    )


def wanted(rng, held, *, greedy):
    """A part of what is held, and sometimes anything."""
    if not held or (greedy and rng.random() < 0.3):
        return [generated.permission(rng)] if greedy else []
    of = rng.choice(held)
    return [of if rng.random() < 0.3 else generated.inside_permission(rng, of)]


def handed_on(rng, parent, number):
    """A link after *parent*, from time to time one that takes too much."""
    greedy = rng.random() < 0.4
    held = [*parent.allow, *parent.ask]
    allow = [p for _ in range(rng.randint(1, 2)) for p in wanted(rng, held if greedy else parent.allow, greedy=greedy)]
    ask = [p for _ in range(rng.randint(0, 2)) for p in wanted(rng, held, greedy=greedy)]
    return link_claims(
        parent,
        link_hash(f"token.of.{number - 1}"),
        key=KEYS[number],
        name=f"n{number}",
        purpose="",
        allow=allow,
        ask=ask,
        token_id=f"{number:08x}-0000-4000-8000-000000000000",
        issued_at=parent.issued_at + rng.choice([0, 1, -1] if greedy else [0, 1]),
        expires_at=parent.expires_at - rng.choice([0, 600, -1] if greedy else [0, 600]),
        max_depth=parent.max_depth + (rng.choice([0, -1, 1]) if greedy else 0),
    )


def never_widens(rng, counted):
    chain = [root(rng)]
    for _ in range(6):
        number = len(chain)
        try:
            grant = hand_on(
                chain[-1], link_hash(f"token.of.{number - 1}"), link_shape().read(handed_on(rng, chain[-1], number))
            )
        except CredentialError:
            counted["refused"] += 1
            continue
        counted["handed on"] += 1
        assert grant.expires_at <= chain[-1].expires_at
        assert grant.issued_at >= chain[-1].issued_at
        assert grant.depth <= grant.max_depth <= chain[-1].max_depth
        chain.append(grant)
        if len(chain) == 5:
            break
    counted[f"depth {len(chain) - 1}"] += 1
    rules = [Rules(grant.allow, grant.ask, Policy(), grant.must_ask) for grant in chain]
    everything = [permission for grant in chain for permission in (*grant.allow, *grant.ask)]
    for _ in range(6):
        if not everything:
            return
        of = rng.choice(everything)
        place, given = generated.inside(rng, of.resource), generated.arguments(rng, *everything)
        answers = [FREEDOM.index(one.decide(of.action, place.key, given).effect) for one in rules]
        counted[f"leaf {FREEDOM[answers[-1]]}"] += 1
        counted["narrowed"] += answers[-1] < answers[0]
        assert answers == sorted(answers, reverse=True), (answers, of, place, given, chain)
        for one, answer in zip(rules, answers, strict=True):
            outline = one.outline(of.action, place.key)
            if outline is not None and not isinstance(outline, tuple | list):
                assert outline.effect == FREEDOM[answer]


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_chains_never_let_through_more_than_those_above_would(count):
    counted = generated.tried(count, never_widens)

    least = {"refused": 0.5, "handed on": 0.5, "depth 4": 0.01, "leaf allow": 0.05, "leaf ask": 0.05, "narrowed": 0.05}
    assert {} == generated.enough(counted, **{case: share * count for case, share in least.items()}), counted


def test_a_question_goes_down_the_chain_where_the_child_holds_more_than_it_covers():
    """`ask` on a part of what is allowed, and the whole handed on."""
    bot = Authority.create("acme.example").issue("bot", allow=["write:mail/**"], ask=["write:mail/outbox/*"])
    child = bot.delegate("child", allow=["write:mail/*/ada"]).delegate("grandchild", allow=["write:mail/*/ada"])
    grant = child._grant
    rules = Rules(grant.allow, grant.ask, Policy(), grant.must_ask)

    assert "ask" == rules.decide("write", ("", "", "", "mail", "outbox", "ada"), {}).effect
    assert "allow" == rules.decide("write", ("", "", "", "mail", "drafts", "ada"), {}).effect
    assert "deny" == rules.decide("write", ("", "", "", "mail", "outbox", "eve"), {}).effect
    assert rules.outline("write", ("", "", "", "mail", "outbox", "ada")) is None


@pytest.mark.parametrize(("amount", "effect"), [(5, "allow"), (500, "ask"), ("500", "ask"), (None, "ask")])
def test_a_question_that_cannot_be_judged_is_asked_down_the_chain(amount, effect):
    from agentid import Permission, at_least

    asked = Permission.parse("write:pay/*").where(amount=at_least(100))
    bot = Authority.create("acme.example").issue("bot", allow=["write:pay/*"], ask=[asked])
    grant = bot.delegate("child", allow=["write:pay/x"])._grant
    rules = Rules(grant.allow, grant.ask, Policy(), grant.must_ask)

    assert effect == rules.decide("write", ("", "", "", "pay", "x"), {"amount": amount}).effect
