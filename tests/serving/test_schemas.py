import pytest
from pydantic import ValidationError

from serving.filters import Query
from serving.schemas import RecommendIn


def test_recommend_in_has_the_fields_of_a_query() -> None:
    asked = RecommendIn(user_id="U1")
    assert vars(Query(**dict(asked))) == vars(Query("U1", 10, [], [], None, [], shown=[]))
    assert set(RecommendIn.model_fields) == set(vars(Query("U1", 10)))


@pytest.mark.parametrize("body", [{"user_id": None}, {"recent_items": ["P1"]}, {"user_id": None, "recent_items": []}])
def test_recommend_in_may_be_about_somebody_unknown(body: dict) -> None:
    assert RecommendIn.model_validate(body).user_id is None


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({}, (), "give a user_id"),
        ({"user_id": ""}, ("user_id",), "at least 1 character"),
        ({"user_id": "U1\0"}, ("user_id",), "match pattern"),
        ({"user_id": 1}, ("user_id",), "valid string"),
        ({"user_id": "U1", "k": 101}, ("k",), "less than or equal to 100"),
        ({"user_id": "U1", "diversity": 1.1}, ("diversity",), "less than or equal to 1"),
        ({"user_id": "U1", "diversity": float("nan")}, ("diversity",), "less than or equal to 1"),
        ({"user_id": "U1", "max_per_category": 0}, ("max_per_category",), "greater than or equal to 1"),
        ({"user_id": "U1", "min_price": -1}, ("min_price",), "greater than or equal to 0"),
        ({"user_id": "U1", "min_price": 2, "max_price": 1}, (), "min_price is larger than max_price"),
        ({"user_id": "U1", "categories": []}, ("categories",), "at least 1 item"),
        ({"user_id": "U1", "shown": ["P"] * 1001}, ("shown",), "at most 1000 items"),
        ({"user_id": "U1", "recent_items": [""]}, ("recent_items", 0), "at least 1 character"),
        ({"user_id": "U1", "recent": []}, ("recent",), "Extra inputs"),
    ],
)
def test_recommend_in_names_the_wrong_field(body: dict, field: tuple, message: str) -> None:
    with pytest.raises(ValidationError) as error:
        RecommendIn.model_validate(body)
    (first,) = error.value.errors()
    assert first["loc"] == field
    assert message in first["msg"]
