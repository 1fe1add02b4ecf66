"""Tools of each kind that say what ran, for tests of what stops them."""

from __future__ import annotations

import asyncio

import pytest

from agentid import requires

ran = []


@requires("read:crm/customers/{customer_id}")
def look_up(customer_id):
    ran.append(customer_id)
    return customer_id


@requires("read:crm/customers/{customer_id}")
async def look_up_async(customer_id):
    ran.append(customer_id)
    return customer_id


@requires("read:crm/customers/{customer_id}")
def stream(customer_id):
    for number in range(5):
        ran.append(number)
        yield number


@requires("read:crm/customers/{customer_id}")
async def async_stream(customer_id):
    for number in range(5):
        await asyncio.sleep(0)
        ran.append(number)
        yield number


@pytest.fixture(autouse=True)
def nothing_ran():
    ran.clear()
