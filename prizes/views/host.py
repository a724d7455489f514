"""The host's screen: what to say now, for everybody who has its address; the button is for whoever runs segments."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import override
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from engagement.models import Show
from engagement.screens import describe_screen
from engagement.views import feed_language, render_page
from prizes.views.buttons import RUN


@require_safe
@never_cache
def host(request: HttpRequest, slug: str) -> HttpResponse:
    """It shows nothing that the wall and the phones are not told in the same second."""
    show = get_object_or_404(Show, slug=slug)
    context = {**describe_screen(request, show), "runs": request.user.has_perm(RUN)}
    with override(feed_language(request, show)):
        return render_page(request, "prizes/host.html", show.title, show.title_zh, **context)
