// Memory for C++ objects. The toolchain's own was built without exceptions: it ends the guest where there is no more.
#include <cstdlib>
#include <new>

void *operator new(std::size_t size) {
    void *found = std::malloc(size ? size : 1);
    if (found == nullptr)
        throw std::bad_alloc();
    return found;
}
void *operator new[](std::size_t size) { return operator new(size); }
void operator delete(void *place) noexcept { std::free(place); }
void operator delete[](void *place) noexcept { std::free(place); }
void operator delete(void *place, std::size_t) noexcept { std::free(place); }
void operator delete[](void *place, std::size_t) noexcept { std::free(place); }
