"""The scenario Custom: the device's own address takes the payment, with the order in its query. Pure."""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from server.errors import Unavailable
from server.money import roubles
from server.store.rows import Device, Order

CUSTOM = "Custom"


def custom_address(device: Device, order: Order) -> str:
    """Return where the customer goes. Raises Unavailable when the device has no address.

    The parameters are the predecessor's: `order_id, drink_name, price, size, device_uuid, merchant_id`.
    """
    if not device.redirect_url:
        raise Unavailable(
            "missing_credentials", f"{device.device_uuid} has no redirect_url", device.device_uuid
        )
    scheme, host, path, query, fragment = urlsplit(device.redirect_url)
    told = {
        "order_id": order.order_id,
        "drink_name": order.drink_name,
        "price": roubles(order.price_minor),
        "size": order.size,
        "device_uuid": device.device_uuid,
        "merchant_id": device.merchant_id,
    }
    own = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name not in told]
    return urlunsplit((scheme, host, path, urlencode([*own, *told.items()]), fragment))
