"""What every store must keep of tokens, and list for those that are limited; all stores are tested."""

import pytest

from sensorflow.core.messages import EventState
from sensorflow.core.state import State, TokenRow
from sensorflow.core.vocabulary import Scope
from sensorflow.ports import Store, StoreError
from tests.store_rows import alert_row, backfill_row, event_row


def token_row(id: str, *, digest: str = "", pipelines: tuple[str, ...] = (), at: float = 1.0) -> TokenRow:
    return TokenRow(
        id=id, digest=digest or f"of-{id}", scope=Scope.OPERATE, pipelines=pipelines, created_at=at
    )


async def keep(store: Store, row: TokenRow) -> None:
    store.begin().add_token(row)
    await store.commit()


async def test_a_token_is_kept_until_it_is_dropped(store: Store, state: State) -> None:
    rows = [token_row("t2", at=1.0), token_row("t1", pipelines=("b", "a"), at=2.0)]
    for row in rows:
        state.add_token(row)
    await store.commit()
    assert store.listing.tokens() == rows
    again = store.begin()
    assert again.drop_token("t2")
    assert not again.drop_token("t2")
    assert not again.drop_token("absent")
    store.rollback()
    assert store.listing.tokens() == rows
    once_more = store.begin()
    once_more.add_token(token_row("t3", at=3.0))
    assert once_more.drop_token("t3")
    assert once_more.drop_token("t1")
    await store.commit()
    assert store.listing.tokens() == rows[:1]


async def test_two_tokens_never_share_an_id_or_a_digest(store: Store, state: State) -> None:
    state.add_token(token_row("t1"))
    await store.commit()
    for twin in (token_row("t1", digest="another"), token_row("t2", digest="of-t1")):
        with pytest.raises(StoreError):
            await keep(store, twin)
        store.rollback()
    assert [row.id for row in store.listing.tokens()] == ["t1"]


def test_a_token_can_be_kept_only_inside_a_transaction(store: Store) -> None:
    with pytest.raises(RuntimeError):
        store.reader.add_token(token_row("t1"))
    with pytest.raises(RuntimeError):
        store.reader.drop_token("t1")


async def test_odd_events_are_listed_by_the_pipeline_of_the_sensor_that_saw_them(
    store: Store, state: State
) -> None:
    kinds = [EventState.REJECTED, EventState.ACCEPTED, EventState.UNMATCHED, EventState.REJECTED]
    for seq, kind in enumerate(kinds, start=1):
        state.add_event(event_row(seq, state=kind))
    state.add_event(event_row(5, state=EventState.REJECTED)._replace(sensor=("other", "s")))
    state.add_event(event_row(6, state=EventState.REJECTED)._replace(sensor=None))
    await store.commit()

    def seqs(after: int = 0, before: int | None = None, state: EventState | None = None) -> list[int]:
        rows = store.listing.odd_events_of("p", after=after, before=before, state=state, limit=2)
        return [row.seq for row in rows]

    assert (seqs(), seqs(after=1), seqs(after=4)) == ([1, 3], [3, 4], [])
    assert (seqs(before=9), seqs(before=4)) == ([4, 3], [3, 1])
    assert (seqs(state=EventState.REJECTED), seqs(state=EventState.ACCEPTED)) == ([1, 4], [])


async def test_backfills_and_alerts_are_listed_by_pipelines(store: Store, state: State) -> None:
    for id, pipeline in (("b1", "a"), ("b2", "b"), ("b3", "a"), ("b4", "c")):
        state.put_backfill(backfill_row(id)._replace(pipeline=pipeline))
    for id, pipeline, dataset in (
        ("a1", "a", ""),
        ("a2", "b", "orders"),
        ("a3", "", "orders"),
        ("a4", "", "x"),
    ):
        state.put_alert(alert_row(id)._replace(pipeline=pipeline, dataset=dataset))
    await store.commit()
    listing = store.listing
    found = listing.backfills(before=None, limit=2, pipelines={"a", "c", "absent"})
    assert [row.id for row in found] == ["b4", "b3"]
    assert [row.id for row in listing.backfills(before="b3", limit=2, pipelines={"a", "c"})] == ["b1"]
    assert listing.backfills(before=None, limit=2, pipelines=()) == []
    for open_only in (True, False):
        seen = listing.alerts(open_only=open_only, before=None, limit=9, pipelines={"a"}, datasets={"orders"})
        assert [row.id for row in seen] == ["a3", "a1"]
        assert listing.alerts(open_only=open_only, before=None, limit=9, pipelines=()) == []
