# What a distribution's package has besides the program: the service, its configuration, completion
# for shells, the manual of the configuration; and how `cpack -G DEB` makes packages of it: stele, the
# server; libstele0, the library for host programs; and libstele-dev, for building those.

# ---- made by the program itself, so that it cannot be out of date ----

set(extras "${CMAKE_BINARY_DIR}/extras")
set(packaging "${CMAKE_SOURCE_DIR}/cmake/packaging")
set(made "")
foreach(shell bash zsh fish)
  add_custom_command(
    OUTPUT "${extras}/stele.${shell}"
    COMMAND "${CMAKE_COMMAND}" -E make_directory "${extras}"
    COMMAND stele-cli completion ${shell} > "${extras}/stele.${shell}"
    DEPENDS stele-cli VERBATIM)
  list(APPEND made "${extras}/stele.${shell}")
endforeach()
add_custom_command(
  OUTPUT "${extras}/stele.json.5"
  COMMAND "${CMAKE_COMMAND}" "-DSTELE=$<TARGET_FILE:stele-cli>" "-DAWK=${packaging}/settings.awk"
          "-DTEMPLATE=${CMAKE_SOURCE_DIR}/docs/man/stele.json.5.in" "-DOUTPUT=${extras}/stele.json.5"
          -P "${packaging}/manual.cmake"
  DEPENDS stele-cli "${packaging}/settings.awk" "${packaging}/manual.cmake"
          "${CMAKE_SOURCE_DIR}/docs/man/stele.json.5.in"
  VERBATIM)
# Manual pages are packed, as on every system; `man stele-serve` finds what stands in stele(1).
find_program(GZIP_PROGRAM gzip REQUIRED)
set(packed "")
function(pack source)
  get_filename_component(name "${source}" NAME)
  add_custom_command(OUTPUT "${extras}/${name}.gz"
                     COMMAND "${GZIP_PROGRAM}" -9nc "${source}" > "${extras}/${name}.gz"
                     DEPENDS "${source}" VERBATIM)
  set(packed ${packed} "${extras}/${name}.gz" PARENT_SCOPE)
  string(REGEX MATCH "[0-9]$" section "${name}")
  install(FILES "${extras}/${name}.gz" DESTINATION "${CMAKE_INSTALL_MANDIR}/man${section}"
          COMPONENT server)
endfunction()
foreach(command serve ingest subscribe check backup views token completion)
  file(WRITE "${extras}/stele-${command}.1" ".so man1/stele.1\n")
  pack("${extras}/stele-${command}.1")
endforeach()
pack("${CMAKE_SOURCE_DIR}/docs/man/stele.1")
pack("${extras}/stele.json.5")
add_custom_target(stele-extras ALL DEPENDS ${made} ${packed})

install(FILES "${extras}/stele.bash" RENAME stele
        DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions" COMPONENT server)
install(FILES "${extras}/stele.zsh" RENAME _stele
        DESTINATION "${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions" COMPONENT server)
install(FILES "${extras}/stele.fish"
        DESTINATION "${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d" COMPONENT server)
install(FILES "${CMAKE_SOURCE_DIR}/docs/config.schema.json" "${CMAKE_SOURCE_DIR}/docs/alerts.yml"
              "${CMAKE_SOURCE_DIR}/docs/grafana-dashboard.json"
        DESTINATION "${CMAKE_INSTALL_DATADIR}/stele" COMPONENT server)

# ---- the service, where the package is for the whole system ----

option(STELE_SERVICE "install the systemd unit and /etc/stele/stele.json" OFF)
if(STELE_SERVICE)
  install(FILES "${packaging}/stele.service" DESTINATION lib/systemd/system COMPONENT server)
  install(FILES "${packaging}/stele.json" DESTINATION /etc/stele COMPONENT server)
endif()

# ---- documents that Debian wants in every package ----

if(STELE_SERVICE)
  string(TIMESTAMP today "%a, %d %b %Y %H:%M:%S +0000" UTC)
  file(WRITE "${extras}/changelog.Debian"
       "stele (${PROJECT_VERSION}) unstable; urgency=medium\n\n"
       "  * See CHANGELOG.md.\n\n"
       " -- stele maintainers <maintainers@stele.invalid>  ${today}\n")
  file(WRITE "${extras}/copyright"
       "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
       "Upstream-Name: stele\n\nFiles: *\nCopyright: 2026 the stele authors\nLicense: Apache-2.0\n"
       " On Debian systems the text of the license is in /usr/share/common-licenses/Apache-2.0.\n")
  foreach(document changelog.Debian CHANGELOG.md)
    set(source "${extras}/${document}")
    if(document STREQUAL CHANGELOG.md)
      set(source "${CMAKE_SOURCE_DIR}/CHANGELOG.md")
    endif()
    string(REPLACE "CHANGELOG.md" "changelog" packed "${document}")
    execute_process(COMMAND "${GZIP_PROGRAM}" -9nc "${source}" OUTPUT_FILE "${extras}/${packed}.gz"
                    COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
  foreach(package server library dev)
    set(name_server stele)
    set(name_library libstele${PROJECT_VERSION_MAJOR})
    set(name_dev libstele-dev)
    set(name "${name_${package}}")
    install(FILES "${extras}/copyright" "${extras}/changelog.gz" "${extras}/changelog.Debian.gz"
            DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/${name}" COMPONENT ${package})
  endforeach()
endif()

# ---- cpack ----

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME stele)
set(CPACK_PACKAGE_VERSION "${PROJECT_VERSION}")
set(CPACK_PACKAGE_CONTACT "stele maintainers <maintainers@stele.invalid>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL server library dev)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ
    GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_HOMEPAGE "https://stele.invalid")
set(CPACK_DEBIAN_SERVER_PACKAGE_NAME stele)
set(CPACK_DEBIAN_SERVER_PACKAGE_SECTION net)
set(CPACK_COMPONENT_SERVER_DESCRIPTION "durable view server
Takes mutations of entities in, merges them into an SQLite database, keeps
a log of them, and sends snapshots and live changes to WebSocket
subscribers, who resume with a cursor and miss nothing.")
set(CPACK_DEBIAN_SERVER_PACKAGE_DEPENDS "adduser")
set(CPACK_DEBIAN_SERVER_PACKAGE_RECOMMENDS "ca-certificates")
set(CPACK_DEBIAN_SERVER_PACKAGE_SUGGESTS "sqlite3")
set(CPACK_DEBIAN_SERVER_PACKAGE_CONTROL_EXTRA "${packaging}/postinst" "${packaging}/prerm"
    "${packaging}/postrm" "${packaging}/conffiles")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME libstele${PROJECT_VERSION_MAJOR})
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "durable view server, as a library
What a host program needs that opens a store, feeds it, queries, subscribes
and serves without a process of its own.")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA "${packaging}/triggers")
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_DEV_PACKAGE_NAME libstele-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_COMPONENT_DEV_DESCRIPTION "durable view server, as a library (development)
The header, the static library and what a linker needs of the shared one.")
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS
    "libstele${PROJECT_VERSION_MAJOR} (= ${PROJECT_VERSION}), libuv1-dev, libsqlite3-dev, libjansson-dev, zlib1g-dev, uuid-dev, libssl-dev, libcurl4-openssl-dev")
include(CPack)
