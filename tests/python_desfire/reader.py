#!/usr/bin/env python3
"""Reads or makes out the DESFire card in the first slot with python-desfire, over the libpcsclite of this machine.

`reader.py read KEY` prints what it found, as JSON; `reader.py make KEY IDENTITY` makes the application F51CDB with that key 1 and
that identity in file 2. Native commands, as python-desfire sends them.
"""

import ctypes
import json
import sys

from desfire import DESFire, DESFireKey
from desfire.devices.base import Device
from desfire.enums import DESFireCommunicationMode, DESFireFileType, DESFireKeySettings, DESFireKeyType
from desfire.schemas import FilePermissions, FileSettings, KeySettings

APPLICATION = [0xDB, 0x1C, 0xF5]
SHARED, EITHER_PROTOCOL, RESET, SYSTEM = 2, 3, 1, 2
FULL = DESFireCommunicationMode.ENCRYPTED


class Header(ctypes.Structure):
    """SCARD_IO_REQUEST of pcsclite."""

    _fields_ = [("protocol", ctypes.c_ulong), ("length", ctypes.c_ulong)]


class Slot(Device):
    """The card in the first slot, by winscard(3) of pcsclite."""

    def __init__(self):
        self.library = ctypes.CDLL("libpcsclite.so.1")
        context, self.card, protocol = ctypes.c_long(), ctypes.c_long(), ctypes.c_ulong()
        self.call("SCardEstablishContext", ctypes.c_ulong(SYSTEM), None, None, ctypes.byref(context))
        names, length = ctypes.create_string_buffer(1024), ctypes.c_ulong(1024)
        self.call("SCardListReaders", context, None, names, ctypes.byref(length))
        name = names.raw.split(b"\0")[0]
        self.call("SCardConnect", context, name, ctypes.c_ulong(SHARED), ctypes.c_ulong(EITHER_PROTOCOL),
                  ctypes.byref(self.card), ctypes.byref(protocol))
        self.header = Header(protocol.value, ctypes.sizeof(Header))

    def call(self, function, *arguments):
        """A function of the library; what it returns other than 0 is an error."""
        if code := getattr(self.library, function)(*arguments) & 0xFFFFFFFF:
            raise OSError(f"{function}: {code:#010x}")

    def transceive(self, bytes):  # noqa: A002 (named so by python-desfire)
        sent = (ctypes.c_ubyte * len(bytes))(*bytes)
        answer, length = (ctypes.c_ubyte * 512)(), ctypes.c_ulong(512)
        self.call("SCardTransmit", self.card, ctypes.byref(self.header), sent, ctypes.c_ulong(len(bytes)), None,
                  answer, ctypes.byref(length))
        return list(answer[:length.value])

    def end(self):
        """Lets go of the card, reset."""
        self.call("SCardDisconnect", self.card, ctypes.c_ulong(RESET))


def aes(key):
    """A key of AES. python-desfire makes the session key of it, so each authentication takes another."""
    return DESFireKey(KeySettings(key_type=DESFireKeyType.DF_KEY_AES), bytes(key))


def hexed(numbers):
    """Bytes as hexadecimal digits."""
    return bytes(numbers).hex()


def read(card, key):
    """What a card says before and after it proved that it has `key`."""
    found = {"version": hexed(card.get_card_version().raw_bytes)}
    found["applications"] = [hexed(application) for application in card.get_application_ids()]
    card.select_application(APPLICATION)
    settings = card.get_key_setting()
    found["keys"] = settings.max_keys
    found["key_version"] = card.get_key_version(1)
    found["files"] = card.get_file_ids()
    found["free"] = hexed(card.read_file_data(4, card.get_file_settings(4)))
    card.authenticate(1, aes(key))
    found["maced"] = hexed(card.read_file_data(1, card.get_file_settings(1)))
    found["enciphered"] = hexed(card.read_file_data(2, card.get_file_settings(2)))
    found["uid"] = hexed(card.get_real_uid())
    found["version_again"] = hexed(card.get_card_version().raw_bytes)
    return found


def make(card, key, identity):
    """Makes an application with a key and a file, and reads the file with the key."""
    card.authenticate(0, aes(bytes(16)))
    settings = KeySettings(key_type=DESFireKeyType.DF_KEY_AES, settings=[DESFireKeySettings.KS_FACTORY_DEFAULT])
    card.create_application(APPLICATION, settings, 2)
    card.select_application(APPLICATION)
    card.authenticate(0, aes(bytes(16)))
    permissions = FilePermissions(read_key=1, write_key=0, read_write_key=0, change_key=0)
    file = FileSettings(FULL, DESFireFileType.MDFT_STANDARD_DATA_FILE, permissions, len(identity))
    card.create_standard_file(2, file)
    card.write_file_data(2, 0, FULL, list(identity))
    card.change_key(1, aes(bytes(16)), aes(key), 7)
    card.select_application(APPLICATION)
    card.authenticate(1, aes(key))
    return {"read": hexed(card.read_file_data(2, card.get_file_settings(2)))}


def main(what, key, *rest):
    """One card."""
    slot = Slot()
    tasks = {"read": read, "make": make}
    found = tasks[what](DESFire(slot), bytes.fromhex(key), *map(bytes.fromhex, rest))
    slot.end()
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
