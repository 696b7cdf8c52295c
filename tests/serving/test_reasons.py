import numpy as np

from pipelines.core.bundle import Bundle
from serving.reasons import reasons
from serving.snapshot import Snapshot
from tests.serving.shop import SIZE, Shelf


def test_reasons_follow_the_source(model: Bundle) -> None:
    snapshot = Snapshot.read(1, model, Shelf())
    told = reasons(snapshot, 4, np.array([4, 4, 4]), ["svd", "popularity", "of tomorrow"])
    assert told == ["liked by people with similar taste", "popular now", "recommended for you"]


def test_reasons_of_covisitation_name_an_item_that_the_user_viewed(model: Bundle) -> None:
    snapshot = Snapshot.read(1, model, Shelf())
    for user in range(SIZE):
        (told,) = reasons(snapshot, user, np.array([user]), ["covisitation"])
        led = int(told.removeprefix("often viewed after “Product P").removesuffix("”"))
        assert led != user, "the item on the diagonal was never viewed"
        assert led % 2 == user % 2, "users view items of their own parity only"


def test_reasons_of_covisitation_stay_general_where_no_viewed_item_leads_there(model: Bundle) -> None:
    snapshot = Snapshot.read(1, model, Shelf())
    assert reasons(snapshot, 4, np.array([5]), ["covisitation"]) == ["often viewed after items you viewed"]
