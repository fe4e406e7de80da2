{
  "targets": [
    {
      "target_name": "quicgate",
      "sources": [
        "native/module.cc",
        "native/arguments.cc",
        "native/aead.cc",
        "native/primitives.cc",
        "native/address.cc",
        "native/udp_socket.cc",
        "native/udp_methods.cc",
        "native/udp_receive.cc",
        "native/udp_send.cc"
      ],
      "defines": ["NAPI_VERSION=8", "_GNU_SOURCE", "_FORTIFY_SOURCE=2"],
      "cflags_cc": ["-std=c++17", "-O2", "-Wall", "-Wextra", "-Wshadow", "-fvisibility=hidden", "-fstack-protector-strong"],
      "ldflags": ["-Wl,-z,relro,-z,now"]
    }
  ]
}
