"""Networks by name."""

import pytest

from train.models import MODELS, AttentionUNet, UNet, create_model


def test_each_name_makes_its_network_with_the_attributes_given():
    assert create_model("unet") == UNet()
    assert create_model("unet", width=8, depth=2, norm="group", groups=4) == UNet(
        width=8, depth=2, norm="group", groups=4
    )
    model = create_model("attention_unet", spatial_dims=3, remat=True)
    assert type(model) is AttentionUNet
    assert (model.spatial_dims, model.remat) == (3, True)
    assert list(MODELS) == ["unet", "attention_unet"]


def test_an_unknown_name_or_attribute_is_named():
    with pytest.raises(ValueError, match="name must be of 'unet', 'attention_unet', got 'vnet'"):
        create_model("vnet")
    with pytest.raises(TypeError, match="'layers'"):
        create_model("unet", layers=3)
